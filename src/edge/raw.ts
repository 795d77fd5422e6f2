/**
 * Raw tunnels, TLS and TCP: from an accepted connection to the end of its stream, without a look at the bytes.
 *
 * Flow: the doorstep (TLS) or a published port (TCP) hands in a socket and who it is for; the agent is dialled; the two are relayed.
 * Invariant: who may not reach the tunnel reaches no upstream, and is cut when that changes; nothing is read of the downstream before the
 * tunnel's agent has answered; a stream that breaks off reaches the downstream as a break, and the other way round.
 * Limits: the deadline of dials, the idle time of relays, writeBufferBytesMax.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../base/break-off.ts';
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
  // Each until it is closed and nobody works for it any more.
  const running = new Map<Duplex, Promise<unknown>>();
  let isDraining = false;

  const dial = async (socket: Duplex, tunnel: Tunnel, connection: EdgeConnection): Promise<AgentStream> => {
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
    socket: Duplex,
    tunnel: Tunnel,
    connection: EdgeConnection,
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
      const result = await relay(socket, stream.socket, { clock, idleMs, pulse });
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

  const accept = async (...[socket, tunnel, connection]: Parameters<typeof serve>) => {
    const startMs = clock.elapsed();
    try {
      record(await serve(socket, tunnel, connection));
    } catch (thrown) {
      breakOff(socket);
      const durationMs = clock.elapsed() - startMs;
      record(failedRecord('stream', connection, engineErrorFrom(thrown), { tunnel, durationMs }));
    }
  };

  return {
    /** Takes over a connection: paused, with everything that it has sent still in it, half-close on. */
    accept(socket: Duplex, tunnel: Tunnel, connection: EdgeConnection): void {
      // Whoever has the socket hears of its end by 'close'; an error without a listener would end the process.
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const whole = Promise.all([accept(socket, tunnel, connection), closed]);
      running.set(socket, whole);
      inBackground(
        whole.finally(() => running.delete(socket)),
        (error) => log.error({ error }, 'raw stream failed'),
      );
    },

    /** Takes no further connections. */
    drain(): void {
      isDraining = true;
    },

    /** Ends everything now; resolves when nothing is left. */
    async destroy(): Promise<void> {
      isDraining = true;
      const ends = [...running].map(([socket, whole]) => {
        breakOff(socket);
        return whole;
      });
      await Promise.allSettled(ends);
    },

    /** Connections that wait for their agent or are relayed. */
    get connectionCount(): number {
      return running.size;
    },
  };
};
