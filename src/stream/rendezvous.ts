/**
 * Where a dial-back meets whoever waits for it.
 *
 * Flow: control/dials.ts expects a stream id, control/accept.ts lets the dial-back arrive, and the promise gives the pipe to the waiter.
 * A waiter that gives up leaves its place abandoned until the agent has answered, so that requests in flight are counted as the
 * agent counts them.
 * Invariant: a stream id is used once, and only with its secret. A wrong secret leaves the waiter alone, because otherwise a guess
 * would be a denial of service; it costs the guesser its connection.
 * Limits: every place has a deadline; control/dials.ts bounds their number per agent.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, fail } from '../base/errors.ts';
import type { AgentId, StreamId, TunnelId } from '../base/ids.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock, Timer } from '../base/time.ts';
import type { AgentStream } from './agent-stream.ts';

/** What a dial request promised the agent. */
export interface Expectation {
  readonly streamId: StreamId;
  readonly secret: Secret;
  readonly tunnelId: TunnelId;
  readonly agentId: AgentId;
  /** Called once, when the agent owes no answer any more: it dialled back, refused, or ran out of time. */
  readonly onAnswered?: () => void;
}

interface Waiter extends Expectation {
  readonly timer: Timer;
  readonly resolve: (stream: AgentStream) => void;
  readonly reject: (error: EngineError) => void;
  isAbandoned: boolean;
}

export type Rendezvous = ReturnType<typeof createRendezvous>;

/**
 * @param options.deadlineMs from the expectation to the dial-back (`timeouts.stream_request_seconds`)
 */
export const createRendezvous = ({ clock }: { clock: Clock }, { deadlineMs }: { deadlineMs: number }) => {
  const waiting = new Map<string, Waiter>();
  const arrived = new Map<string, { readonly agentId: AgentId; readonly socket: Duplex }>();

  /** Fails the waiter, unless it has its stream already, and cuts what arrived. */
  const settle = (waiter: Waiter, error: EngineError): void => {
    waiter.timer.cancel();
    waiter.reject(error);
    arrived.get(waiter.streamId)?.socket.destroy();
    if (waiting.delete(waiter.streamId)) waiter.onAnswered?.();
  };

  const admit = (waiter: Waiter, socket: Duplex, greeting: Uint8Array | undefined): void => {
    const { streamId, tunnelId, agentId } = waiter;
    waiting.delete(streamId);
    waiter.onAnswered?.();
    arrived.set(streamId, { agentId, socket });
    socket.once('close', () => {
      arrived.delete(streamId);
      settle(waiter, fail('DIAL_BACK_REFUSED', { streamId }));
    });
    const deliver = () => {
      if (socket.destroyed) return;
      waiter.timer.cancel();
      waiter.resolve({ id: streamId, tunnelId, socket });
    };
    // The deadline still runs while the greeting is flushed; when that fails, 'close' tells the waiter.
    if (greeting) socket.write(greeting, deliver);
    else deliver();
  };

  return {
    /** Waits for the dial-back. Rejects with DIAL_BACK_TIMEOUT at the deadline, or with what `refuse` or `cancel` was given. */
    expect: (expectation: Expectation): Promise<AgentStream> =>
      new Promise((resolve, reject) => {
        const { streamId, tunnelId } = expectation;
        const seconds = deadlineMs / 1_000;
        const timer = clock.after(deadlineMs, () =>
          settle(waiter, fail('DIAL_BACK_TIMEOUT', { seconds, streamId, tunnelId })),
        );
        const waiter: Waiter = { ...expectation, timer, resolve, reject, isAbandoned: false };
        waiting.set(streamId, waiter);
      }),

    /**
     * Gives the socket to the waiter of `streamId`; on a throw it stays the caller's.
     * @param greeting bytes that must reach the agent in a write of their own before any payload (protocol.md 6.3)
     * @throws STREAM_UNKNOWN, STREAM_SECRET_INVALID
     */
    arrive(streamId: string, secret: string | undefined, socket: Duplex, greeting?: Uint8Array): void {
      const waiter = waiting.get(streamId);
      // Nothing that a stranger made up goes into an error, and so into the log.
      if (!waiter) throw fail('STREAM_UNKNOWN');
      if (secret === undefined || !waiter.secret.equals(secret))
        throw fail('STREAM_SECRET_INVALID', { streamId });
      if (waiter.isAbandoned || socket.destroyed) {
        settle(waiter, fail('DIAL_BACK_REFUSED', { streamId }));
        throw fail('STREAM_UNKNOWN', { streamId });
      }
      admit(waiter, socket, greeting);
    },

    /** The agent says that it cannot serve the stream; cuts it even when it has arrived. Another agent's word counts for nothing. */
    refuse(streamId: string, agentId: AgentId, error: EngineError): void {
      const waiter = waiting.get(streamId);
      if (waiter?.agentId === agentId) settle(waiter, error);
      const stream = arrived.get(streamId);
      if (stream?.agentId === agentId) stream.socket.destroy();
    },

    /**
     * The waiter gives up.
     * @param error what its promise rejects with
     * @param isAsked whether the agent knows of the stream and so owes an answer
     */
    cancel(streamId: StreamId, error: EngineError, isAsked: boolean): void {
      const waiter = waiting.get(streamId);
      if (!waiter) return;
      waiter.isAbandoned = true;
      if (isAsked) waiter.reject(error);
      else settle(waiter, error);
    },

    /** The session of an agent has ended: its waiters fail at once, its streams run on (protocol.md 5.5). */
    refuseAll(agentId: AgentId, error: EngineError): void {
      for (const waiter of [...waiting.values()]) if (waiter.agentId === agentId) settle(waiter, error);
    },

    /** Ends everything, streams included. */
    destroy(error: EngineError): void {
      for (const waiter of [...waiting.values()]) settle(waiter, error);
      for (const { socket } of [...arrived.values()]) socket.destroy();
    },

    /** Waiters whose dial-back has not arrived. */
    get waitingCount(): number {
      return [...waiting.values()].filter((waiter) => !waiter.isAbandoned).length;
    },

    /** Streams that have arrived and are not closed. */
    get streamCount(): number {
      return arrived.size;
    },
  };
};
