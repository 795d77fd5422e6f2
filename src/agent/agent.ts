/**
 * The built-in agent: keeps tunnels open on an engine and forwards their streams to upstreams.
 *
 * Flow: connect, open the control channel, open the tunnels, serve until the channel ends; then again after a pause, until `stop` or until
 * the engine refuses for good.
 * Invariant: streams outlive the control channel that announced them, but not the agent; after `run` has settled no socket and no timer
 * of it is left.
 * Limits: reconnectMsMin, reconnectMsMax.
 */
import { type EngineError, engineErrorFrom } from '../base/errors.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { type Clock, createBackoff, pause } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { type AgentChannel, type ChannelNeeds, openChannel } from './channel.ts';
import { clientDetails } from './client-details.ts';
import { createConnector, type EngineTarget } from './connection.ts';
import { createForwarder } from './forwarder.ts';
import type { Address } from './tcp.ts';

/** A tunnel: what to ask the engine for (or, once online, its reply), and where its streams go. */
export interface AgentTunnel {
  readonly properties: TunnelProperties;
  readonly upstream: Address;
}

export interface AgentOptions {
  readonly engine: EngineTarget;
  readonly token?: Secret;
  readonly tunnels: readonly AgentTunnel[];
  /** Of the program that the agent is part of; the engine shows it. */
  readonly version?: string;
}

/** What an agent tells while it runs. */
export type AgentEvent =
  | { kind: 'connecting'; address: string }
  | { kind: 'online'; tunnels: readonly AgentTunnel[] }
  | { kind: 'offline'; error: EngineError; retryMs: number }
  /** A downstream came, and its stream could not be opened. */
  | { kind: 'stream-refused'; error: EngineError };

export interface AgentNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every event, in order. */
  onEvent?(event: AgentEvent): void;
}

/** Made by {@link createAgent}. */
export interface Agent {
  /** Runs until stopped. Rejects with what the engine refused for good: ENGINE_REFUSED. Call it once. */
  run(): Promise<void>;
  /** Closes the control channel, breaks the streams that are left, and resolves when `run` has settled. */
  stop(): Promise<void>;
}

export const createAgent = (needs: AgentNeeds, options: AgentOptions): Agent => {
  const { clock } = needs;
  const lifecycle = new Lifecycle();
  const stopping = new AbortController();
  const over = new Promise<unknown>((resolve) => lifecycle.onClosed(resolve));
  const connector = createConnector({ clock }, options.engine);
  const forwarder = createForwarder({ clock, connector }, options.version);
  const tunnels = [...options.tunnels];
  let channel: AgentChannel | undefined;
  let isRunning = false;

  const tell = (event: AgentEvent) => {
    logEvent(needs.log, event);
    needs.onEvent?.(event);
  };

  const answerDial: ChannelNeeds['answerDial'] = async (request, upstream) => {
    try {
      await forwarder.answerDial(request, upstream);
    } catch (thrown) {
      tell({ kind: 'stream-refused', error: engineErrorFrom(thrown) });
      throw thrown;
    }
  };

  const openTunnels = (channel: AgentChannel): Promise<AgentTunnel[]> =>
    Promise.all(
      tunnels.map(async (tunnel, index) => {
        const properties = await channel.openTunnel(tunnel.properties, tunnel.upstream);
        tunnels[index] = { ...tunnel, properties: withHostnameOf(properties, tunnel.properties) };
        return { ...tunnel, properties };
      }),
    );

  /** One control channel from beginning to end, and what ended it. */
  const serve = async (onOnline: () => void): Promise<unknown> => {
    try {
      const connection = await connector.connect();
      const details = clientDetails(options.token, options.version);
      channel = await openChannel({ clock, answerDial }, connection, details);
      const online = await openTunnels(channel);
      onOnline();
      tell({ kind: 'online', tunnels: online });
      return await channel.ended;
    } catch (thrown) {
      return thrown;
    } finally {
      await channel?.close();
      channel = undefined;
    }
  };

  const serveUntilStopped = async () => {
    const backoff = createBackoff(LIMITS.reconnectMsMin, LIMITS.reconnectMsMax);
    while (lifecycle.isOpen) {
      tell({ kind: 'connecting', address: connector.address });
      const cause = await serve(backoff.reset);
      if (!lifecycle.isOpen) return;
      const error = engineErrorFrom(cause);
      if (!error.row.retryable) throw error;
      const retryMs = backoff.nextMs();
      tell({ kind: 'offline', error, retryMs });
      await pause(clock, retryMs, stopping.signal);
    }
  };

  const release = () => {
    connector.destroy();
    return forwarder.close();
  };

  return {
    async run() {
      isRunning = true;
      try {
        await serveUntilStopped();
      } finally {
        await release();
        lifecycle.finish();
      }
    },
    async stop() {
      if (lifecycle.beginClosing()) {
        stopping.abort();
        await channel?.close();
        await release();
      }
      if (isRunning) await over;
    },
  };
};

/** A name that the engine chose is asked for again, so that the public address survives a reconnect. */
const withHostnameOf = (reply: TunnelProperties, asked: TunnelProperties): TunnelProperties =>
  reply.hostname && reply.protocol !== 'tcp' ? { ...asked, hostname: reply.hostname } : asked;

const logEvent = (log: Logger, event: AgentEvent): void => {
  if (event.kind === 'connecting') log.debug({ remote: event.address }, 'agent connects');
  else if (event.kind === 'stream-refused') log.warn({ error: event.error }, 'agent refused a stream');
  else if (event.kind === 'offline')
    log.warn({ error: event.error, retryMs: event.retryMs }, 'agent is offline');
  else
    for (const { properties } of event.tunnels)
      log.info({ tunnelId: properties.id, hostname: properties.hostname }, 'agent is online');
};
