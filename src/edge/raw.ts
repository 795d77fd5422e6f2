/**
 * Raw tunnels, TLS and TCP: from an accepted connection to the end of its stream, without a look at the bytes.
 *
 * Flow: the doorstep (TLS) or a published port (TCP) hands in a socket and who it is for; the agent is dialled; the two are relayed.
 * Invariant: who may not reach the tunnel reaches no upstream, and is cut when that changes; nothing is read of the downstream before the
 * tunnel's agent has answered; a stream that breaks off reaches the downstream as a break (a reset, or TLS without close_notify).
 * Limits: the deadline of dials, the idle time of relays, writeBufferBytesMax.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { endFromRelay, failedRecord, type TrafficRecord } from '../base/record.ts';
import { type Clock, inBackground } from '../base/time.ts';
import type { AgentStream } from '../stream/agent-stream.ts';
import { relay } from '../stream/relay.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Admit } from './admission.ts';
import type { EdgeConnection } from './connection.ts';
import type { DialUpstream } from './dial-upstream.ts';
import type { Policies, Running } from './policies.ts';

/** A TCP socket can say that it breaks off; TLS says so by ending without close_notify. */
type RawSocket = Duplex & { resetAndDestroy?(): unknown };

/** How a connection is broken off. */
export type Break = (socket: RawSocket) => void;

export const BREAKS = {
  /** By a reset: an end without one would look like a whole answer. */
  tcp: (socket) => (socket.resetAndDestroy ? void socket.resetAndDestroy() : void socket.destroy()),
  tls: (socket) => void socket.destroy(),
} as const satisfies Record<string, Break>;

export interface RawEdgeNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly admit: Admit;
  readonly policies: Pick<Policies, 'follow' | 'unfollow'>;
  readonly dialUpstream: DialUpstream;
  readonly record: (record: TrafficRecord) => void;
}

export type RawEdge = ReturnType<typeof createRawEdge>;

export const createRawEdge = (needs: RawEdgeNeeds, { idleMs }: { readonly idleMs: number }) => {
  const { clock, log, admit, policies, dialUpstream, record } = needs;
  const sockets = new Map<RawSocket, Break>();
  let isDraining = false;

  const dial = async (
    socket: RawSocket,
    tunnel: Tunnel,
    connection: EdgeConnection,
  ): Promise<AgentStream> => {
    const gone = new AbortController();
    const leave = () => gone.abort();
    socket.once('close', leave);
    if (socket.destroyed) leave();
    try {
      return await dialUpstream(tunnel, connection, gone.signal);
    } finally {
      socket.off('close', leave);
    }
  };

  const serve = async (
    socket: RawSocket,
    tunnel: Tunnel,
    connection: EdgeConnection,
    breakOff: Break,
  ): Promise<TrafficRecord> => {
    const startMs = clock.elapsed();
    if (isDraining) throw fail('ENGINE_DRAINING');
    // TLS is up by now, and Node can send no alert of its own choice any more: a certificate that proves nothing ends in a break.
    const admission = await admit(tunnel, connection);
    if (admission instanceof Error) throw admission;
    let cause: EngineError | undefined;
    const running: Running = {
      tunnel,
      connection,
      principal: admission.principal,
      cut(error) {
        cause = error;
        breakOff(socket);
      },
    };
    policies.follow(running);
    try {
      const stream = await dial(socket, tunnel, connection);
      const waitMs = clock.elapsed() - startMs;
      const { pulse } = tunnel;
      const result = await relay(socket, stream.socket, { clock, idleMs, pulse, breakOff });
      const end = endFromRelay(result, cause);
      const durationMs = clock.elapsed() - startMs;
      return {
        kind: 'stream',
        connection,
        tunnel,
        streamId: stream.id,
        dialerCredentialId: admission.principal?.credentialId,
        dialerKind: admission.principal?.kind,
        status: 0,
        durationMs,
        waitMs,
        ...end,
      };
    } finally {
      policies.unfollow(running);
    }
  };

  const accept = async (...[socket, tunnel, connection, breakOff]: Parameters<typeof serve>) => {
    const startMs = clock.elapsed();
    try {
      record(await serve(socket, tunnel, connection, breakOff));
    } catch (thrown) {
      breakOff(socket);
      const durationMs = clock.elapsed() - startMs;
      record(failedRecord('stream', connection, engineErrorFrom(thrown), { tunnel, durationMs }));
    }
  };

  return {
    /**
     * Takes over a connection: paused, with everything that it has sent still in it, half-close on.
     * @param breakOff how its end is told from a break
     */
    accept(socket: RawSocket, tunnel: Tunnel, connection: EdgeConnection, breakOff: Break): void {
      sockets.set(socket, breakOff);
      // Whoever has the socket hears of its end by 'close'; an error without a listener would end the process.
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
      inBackground(accept(socket, tunnel, connection, breakOff), (error) =>
        log.error({ error }, 'raw stream failed'),
      );
    },

    /** Takes no further connections. */
    drain(): void {
      isDraining = true;
    },

    /** Ends everything now; resolves when nothing is left. */
    async destroy(): Promise<void> {
      isDraining = true;
      const closed = [...sockets.keys()].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', resolve)),
      );
      for (const [socket, breakOff] of sockets) breakOff(socket);
      await Promise.all(closed);
    },

    /** Connections that wait for their agent or are relayed. */
    get connectionCount(): number {
      return sockets.size;
    },
  };
};
