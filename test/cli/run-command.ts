/** Runs a command of the built-in agent as main.ts would, with an engine address and a token in its environment. */
import { PassThrough } from 'node:stream';
import type { TestContext } from 'node:test';
import { Command } from 'commander';
import type { EngineTarget } from '../../src/agent/connection.ts';
import type { CliContext } from '../../src/cli/context.ts';
import { createMailbox } from '../agent/mailbox.ts';
import { testCertificates } from '../support/certificates.ts';

/** @param register adds the command to a program */
export const createCommandRunner =
  (register: (program: Command, context: CliContext) => void) =>
  async (t: TestContext, engine: Pick<EngineTarget, 'host' | 'port'>, args: string[]) => {
    const { caFile } = await testCertificates();
    const printed = createMailbox<string>();
    const told = createMailbox<string>();
    const stop = new AbortController();
    const stdin = new PassThrough();
    const stdout = new PassThrough();
    const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    register(program, {
      env: {
        RSTREAM_ENGINE: `${engine.host}:${engine.port}`,
        RSTREAM_AUTHENTICATION_TOKEN: 'the-token',
      },
      print: printed.put,
      tell: told.put,
      stopSignal: stop.signal,
      onHangup: () => {},
      stdin,
      stdout,
    });
    const over = program.parseAsync([...args, '--ca-file', caFile], { from: 'user' });
    over.catch(() => {});
    t.after(async () => {
      stop.abort();
      await over.catch(() => {});
    });
    return {
      over,
      stdin,
      stdout,
      stop: () => stop.abort(),
      printed: () => printed.take(() => true, 'a line on standard output'),
      told: (text: string) => told.take((line) => line.includes(text), `a line with ${text}`),
    };
  };
