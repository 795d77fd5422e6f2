/**
 * The dial requests of one session.
 *
 * Flow: a dial waits at the rendezvous from its first moment, so its deadline covers the queue too; the request is sent when
 * fewer than dialRequestsInFlightMax are unanswered.
 * Invariant: a request whose downstream has gone keeps its place until the agent has answered: what is in flight is what the agent
 * works on, and clients drop their channel when that is too much (protocol.md 12.4). No request follows the end of its tunnel.
 * Limits: dialRequestsInFlightMax, dialRequestsQueuedMax.
 */
import { randomBytes } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { type AgentId, newStreamId, type StreamId, type TunnelId } from '../base/ids.ts';
import { bytesFromAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { AgentStream, DialSource } from '../stream/agent-stream.ts';
import type { Rendezvous } from '../stream/rendezvous.ts';
import type { Message } from '../wire/message.ts';

export interface DialsNeeds {
  readonly rendezvous: Rendezvous;
  readonly send: (message: Message) => void;
}

export interface DialOptions {
  /** Aborts when nobody waits for the stream any more. */
  readonly signal?: AbortSignal | undefined;
  /** Goes out ahead of the queue: a question whether the agent lives must not wait behind its work. */
  readonly isUrgent?: boolean;
}

interface Dial {
  readonly tunnelId: TunnelId;
  readonly request: Message;
}

export const createDials = ({ rendezvous, send }: DialsNeeds, { agentId }: { agentId: AgentId }) => {
  // Both in the order of the calls.
  const queued = new Map<StreamId, Dial>();
  const inFlight = new Map<StreamId, Dial>();

  const ask = (streamId: StreamId, dial: Dial) => {
    queued.delete(streamId);
    inFlight.set(streamId, dial);
    send(dial.request);
  };
  const askNext = () => {
    for (const [streamId, dial] of queued) {
      if (inFlight.size >= LIMITS.dialRequestsInFlightMax) return;
      ask(streamId, dial);
    }
  };
  const forget = (streamId: StreamId) => {
    queued.delete(streamId);
    inFlight.delete(streamId);
    askNext();
  };

  const expect = (tunnelId: TunnelId, source: DialSource, isUrgent: boolean) => {
    if (!isUrgent && queued.size >= LIMITS.dialRequestsQueuedMax) throw fail('DIAL_QUEUE_FULL', { tunnelId });
    const streamId = newStreamId();
    const secret = randomBytes(24).toString('base64url');
    const sourceIp = bytesFromAddress(source.address);
    const dial: Dial = {
      tunnelId,
      request: { kind: 'dial-request', tunnelId, streamId, secret, ...(sourceIp && { sourceIp }) },
    };
    const arrival = rendezvous.expect({
      streamId,
      secret: new Secret(secret),
      tunnelId,
      agentId,
      onAnswered: () => forget(streamId),
    });
    if (isUrgent) ask(streamId, dial);
    else queued.set(streamId, dial);
    askNext();
    return { streamId, arrival };
  };

  return {
    /**
     * One more stream through a tunnel of this session.
     * @throws DIAL_QUEUE_FULL, DIAL_BACK_REFUSED, DIAL_BACK_TIMEOUT, AGENT_GONE, REQUEST_ABORTED
     */
    async dial(
      tunnelId: TunnelId,
      source: DialSource,
      { signal, isUrgent = false }: DialOptions = {},
    ): Promise<AgentStream> {
      if (signal?.aborted) throw fail('REQUEST_ABORTED');
      const { streamId, arrival } = expect(tunnelId, source, isUrgent);
      const giveUp = () => rendezvous.cancel(streamId, fail('REQUEST_ABORTED'), inFlight.has(streamId));
      signal?.addEventListener('abort', giveUp);
      try {
        const stream = await arrival;
        if (!signal?.aborted) return stream;
        // It arrived in the same turn in which the downstream left.
        stream.socket.destroy();
        throw fail('REQUEST_ABORTED');
      } finally {
        signal?.removeEventListener('abort', giveUp);
      }
    },

    /** Fails what waits for a tunnel that has closed. */
    cancelTunnel(tunnelId: TunnelId): void {
      const error = fail('AGENT_GONE', { tunnelId });
      // Those in the queue first, or a freed place would send one of them.
      for (const [streamId, dial] of [...queued])
        if (dial.tunnelId === tunnelId) rendezvous.cancel(streamId, error, false);
      for (const [streamId, dial] of [...inFlight])
        if (dial.tunnelId === tunnelId) rendezvous.cancel(streamId, error, true);
    },

    /** Fails everything: the session has ended. */
    close(): void {
      queued.clear();
      rendezvous.refuseAll(agentId, fail('AGENT_GONE', { agentId }));
    },

    /** Requests that the agent has not answered, abandoned ones included. */
    get inFlightCount() {
      return inFlight.size;
    },
    get queuedCount() {
      return queued.size;
    },
  };
};
