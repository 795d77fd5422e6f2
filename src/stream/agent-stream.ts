/**
 * One established pipe between the engine and an agent, and the question that makes one.
 *
 * Flow: control answers a DialBack with an AgentStream; edge and the private dial relay or speak HTTP over its socket.
 * Invariant: the socket stands right behind the handshake frame: the next byte that it yields is the upstream's first.
 */
import type { Duplex } from 'node:stream';
import type { AgentId, StreamId, TunnelId } from '../base/ids.ts';

/** Whoever holds it owns the socket: it must end or destroy it, and listen for its errors only to learn of them. */
export interface AgentStream {
  readonly id: StreamId;
  readonly tunnelId: TunnelId;
  /** Paused, possibly with bytes of the upstream in it: it flows after `resume()`. An error on it is always followed by 'close'. */
  readonly socket: Duplex;
}

/** What a dial needs to know of a tunnel. */
export interface DialTarget {
  readonly id: TunnelId;
  readonly agentId: AgentId;
}

/** The downstream on whose behalf an agent is dialled; agents show its address. Streams dialled ahead name the last one that waited. */
export interface DialSource {
  readonly address: string;
  readonly port?: number;
}

/**
 * Asks the agent of a tunnel for one more stream.
 * @param signal aborts when the downstream goes away; the promise then rejects with REQUEST_ABORTED
 * @throws AGENT_GONE, ENGINE_DRAINING, DIAL_QUEUE_FULL, DIAL_BACK_REFUSED, DIAL_BACK_TIMEOUT, REQUEST_ABORTED
 */
export type DialBack = (tunnel: DialTarget, source: DialSource, signal?: AbortSignal) => Promise<AgentStream>;
