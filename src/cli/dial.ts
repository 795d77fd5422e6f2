/**
 * `dial <name>`: a stream to a private tunnel, joined to standard input and output or to a local port.
 */
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import { createDialer, type Dialer } from '../agent/dialer.ts';
import { openLocalListener } from '../agent/local-listener.ts';
import type { RelayEnd } from '../agent/relay.ts';
import type { Address } from '../agent/tcp.ts';
import { engineErrorFrom, fail } from '../base/errors.ts';
import { splitListenAddress } from '../base/ip.ts';
import { createClock } from '../base/time.ts';
import { VERSION } from '../version.ts';
import type { CliContext } from './context.ts';
import { addEngineFlags, type EngineFlags, engineFrom } from './engine-flags.ts';

interface DialFlags extends EngineFlags {
  readonly listen?: string;
}

/** Adds the `dial` command. */
export const registerDial = (program: Command, context: CliContext): void => {
  const command = program
    .command('dial')
    .description('open a stream to a tunnel by its name or id, and join it to standard input and output')
    .argument('<name>', 'name or id of the tunnel')
    .option('--listen <[host:]port>', 'dial for each connection to this local port instead; host 127.0.0.1');
  addEngineFlags(command).action((name: string, flags: DialFlags) => dial(name, flags, context));
};

const dial = async (name: string, flags: DialFlags, context: CliContext): Promise<void> => {
  const listenAddress = flags.listen === undefined ? undefined : listenAddressFrom(flags.listen);
  const dialer = createDialer(
    { clock: createClock() },
    { ...engineFrom(flags, context.env), version: VERSION },
  );
  const stop = () => dialer.destroy();
  context.stopSignal.addEventListener('abort', stop, { once: true });
  try {
    if (listenAddress) await serveLocally(dialer, name, listenAddress, context);
    else await joinStandardStreams(await dialer.dial(name), context);
  } catch (thrown) {
    // Whoever stops the command does not want to read that its connections broke.
    if (!context.stopSignal.aborted) throw thrown;
  } finally {
    context.stopSignal.removeEventListener('abort', stop);
    dialer.destroy();
  }
};

const listenAddressFrom = (text: string): Address => {
  const address = splitListenAddress(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text);
  if (!address?.host) throw fail('USAGE', { problem: `--listen ${text} is not of the form [host:]port` });
  return address;
};

const serveLocally = async (dialer: Dialer, name: string, address: Address, context: CliContext) => {
  const listener = await openLocalListener(
    {
      dial: () => dialer.dial(name),
      onRefused: (cause) => context.tell(`A connection was refused: ${engineErrorFrom(cause).message}`),
    },
    address,
  );
  context.tell(`Dials ${name} for each connection to:`);
  context.print(listener.address);
  const { stopSignal } = context;
  if (!stopSignal.aborted)
    await new Promise((resolve) => stopSignal.addEventListener('abort', resolve, { once: true }));
  await listener.close();
};

const joinStandardStreams = async ({ stream, abort }: RelayEnd, context: CliContext): Promise<void> => {
  const stdin = context.stdin as Readable;
  const stdout = context.stdout as Writable;
  stdout.on('error', abort);
  stdin.pipe(stream);
  stream.pipe(stdout, { end: false });
  try {
    // The end of what comes is the end of the command: at a terminal nobody would ever end what goes.
    await finished(stream, { writable: false });
  } catch (cause) {
    throw fail('ENGINE_CLOSED', { what: 'stream' }, cause);
  } finally {
    stdout.off('error', abort);
    stdin.unpipe(stream);
    stdin.pause();
  }
};
