/**
 * `forward <port|host:port>`: the built-in agent with one tunnel, until it is stopped.
 *
 * Flow: the forwarding address goes to standard output once the tunnel is online, everything else to standard error.
 */
import type { Command } from 'commander';
import { type AgentEvent, createAgent } from '../agent/agent.ts';
import { forwardingAddress } from '../agent/forwarding-address.ts';
import type { Address } from '../agent/tcp.ts';
import { fail } from '../base/errors.ts';
import { addressWithPort } from '../base/ip.ts';
import { createLogger } from '../base/log.ts';
import { createClock, inBackground } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { VERSION } from '../version.ts';
import type { CliContext } from './context.ts';
import { addEngineFlags, addressFrom, type EngineFlags, engineFrom } from './engine-flags.ts';
import { addTunnelFlags, propertiesFrom, type TunnelFlags } from './tunnel-flags.ts';

type ForwardFlags = EngineFlags & TunnelFlags;

/** Adds the `forward` command. */
export const registerForward = (program: Command, context: CliContext): void => {
  const command = program
    .command('forward')
    .description('publish a service of this machine or its network through an engine')
    .argument('<port|host:port>', 'where the service listens; a port alone means this machine');
  addEngineFlags(addTunnelFlags(command)).action((upstream: string, flags: ForwardFlags) =>
    forward(upstream, flags, context),
  );
};

const forward = async (upstreamText: string, flags: ForwardFlags, context: CliContext): Promise<void> => {
  const upstream = upstreamFrom(upstreamText);
  const proven = engineFrom(flags, context.env);
  const agent = createAgent(
    { clock: createClock(), log: createLogger('silent'), onEvent: createReporter(context) },
    { ...proven, version: VERSION, tunnels: [{ properties: propertiesFrom(flags), upstream }] },
  );
  const stop = () => inBackground(agent.stop(), (fault) => context.tell(String(fault)));
  if (context.stopSignal.aborted) return;
  context.stopSignal.addEventListener('abort', stop, { once: true });
  // Timers never keep the process alive, and in a pause between two attempts the agent has nothing else.
  const hold = new MessageChannel();
  hold.port1.ref();
  try {
    await agent.run();
  } finally {
    hold.port1.close();
    context.stopSignal.removeEventListener('abort', stop);
  }
};

const upstreamFrom = (text: string): Address => {
  // The name and not 127.0.0.1, because many development servers listen on ::1 only.
  const address = addressFrom(/^\d+$/.test(text) ? `localhost:${text}` : text);
  if (!address) throw fail('USAGE', { problem: `${text} is neither a port nor host:port` });
  return address;
};

/** Tells every event, and prints the forwarding address whenever it is a new one. */
const createReporter = ({ print, tell }: CliContext) => {
  let printed: string | undefined;
  const tellOnline = (properties: TunnelProperties, upstream: Address) => {
    const address = forwardingAddress(properties);
    tell(`Online: ${address} -> ${addressWithPort(upstream.host, upstream.port)}`);
    if (address !== printed) print(address);
    printed = address;
  };
  return (event: AgentEvent): void => {
    switch (event.kind) {
      case 'connecting':
        return tell(`Connecting to ${event.address} ...`);
      case 'online':
        for (const { properties, upstream } of event.tunnels) tellOnline(properties, upstream);
        return;
      case 'offline':
        return tell(
          `Offline: ${event.error.message} Trying again in ${(event.retryMs / 1000).toFixed(1)} s.`,
        );
      case 'stream-refused':
        return tell(`A connection was refused: ${event.error.message}`);
    }
  };
};
