/**
 * The agent's side of one control channel, from its opening to its end.
 *
 * Flow: agent.ts opens it, opens tunnels through it and waits for its end; dial requests go to the forwarder.
 * Invariant: a tunnel is known in the same turn in which its answer is read, because a dial request may follow it in the same packet.
 * Limits: engineAnswerMsMax for each answer, channelCloseMsMax for the goodbye.
 */
import { engineErrorFrom, fail } from '../base/errors.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, inBackground } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { isLivenessAcceptable } from '../wire/handshake.ts';
import type { ClientDetails, Liveness, Message } from '../wire/message.ts';
import { destroyWhenSilent, type EngineConnection, receiveAnswer } from './connection.ts';
import { startHeartbeat } from './heartbeat.ts';
import { errorFromWire, wireErrorFrom } from './refusal.ts';
import type { Address } from './tcp.ts';

export type DialRequest = Extract<Message, { kind: 'dial-request' }>;

/** What a channel needs. */
export interface ChannelNeeds {
  readonly clock: Clock;
  /** Answers a dial request for a tunnel of that upstream; what it rejects with is reported to the engine. */
  answerDial(request: DialRequest, upstream: Address): Promise<void>;
}

/** Made by {@link openChannel}. */
export interface AgentChannel {
  /** The engine's reply. Rejects with the engine's refusal or with what ended the channel. */
  openTunnel(properties: TunnelProperties, upstream: Address): Promise<TunnelProperties>;
  /** Resolves with the cause when the channel is over; with undefined after `close`. */
  readonly ended: Promise<unknown>;
  /** Says goodbye, and resolves when the engine has answered or did not in time. */
  close(): Promise<unknown>;
}

/**
 * Opens the control channel on a new connection, which it destroys at the end.
 * Rejects with the engine's refusal, ENGINE_SILENT, ENGINE_CLOSED or ENGINE_PROTOCOL.
 */
export const openChannel = async (
  needs: ChannelNeeds,
  connection: EngineConnection,
  details: ClientDetails,
): Promise<AgentChannel> => {
  try {
    const liveness = await shakeHands(needs.clock, connection, details);
    return runChannel(needs, connection, liveness);
  } catch (thrown) {
    connection.destroy();
    throw thrown;
  }
};

const shakeHands = async (
  clock: Clock,
  connection: EngineConnection,
  details: ClientDetails,
): Promise<Liveness | undefined> => {
  const heartbeatIntervalMs = LIMITS.agentHeartbeatMs;
  connection.send({
    kind: 'open-channel',
    details,
    liveness: { heartbeatIntervalMs, heartbeatTimeoutMs: 0 },
  });
  const answer = await receiveAnswer(clock, connection);
  if (answer.kind === 'channel-refused') throw errorFromWire(answer.error);
  if (answer.kind !== 'channel-opened')
    throw fail('ENGINE_PROTOCOL', { problem: `it opens the control channel with ${answer.kind}` });
  if (!isLivenessAcceptable(heartbeatIntervalMs, answer.liveness))
    throw fail('ENGINE_PROTOCOL', { problem: 'it answers with heartbeats that were not asked for' });
  return answer.liveness;
};

interface PendingTunnel {
  readonly upstream: Address;
  settle(answer: TunnelAnswer): void;
  reject(cause: unknown): void;
}

type TunnelAnswer = Extract<Message, { kind: 'tunnel-opened' | 'tunnel-refused' }>;

const runChannel = (
  needs: ChannelNeeds,
  connection: EngineConnection,
  liveness: Liveness | undefined,
): AgentChannel => {
  const { clock } = needs;
  const lifecycle = new Lifecycle();
  const ended = new Promise<unknown>((resolve) => lifecycle.onClosed(resolve));
  const heartbeat = startHeartbeat(clock, connection, liveness);
  const pending = new Map<string, PendingTunnel>();
  const upstreams = new Map<string, Address>();
  let requestCount = 0;

  const end = (cause?: unknown) => {
    if (!lifecycle.finish(cause)) return;
    heartbeat.stop();
    connection.destroy();
    for (const tunnel of pending.values()) tunnel.reject(cause ?? fail('ENGINE_CLOSED', { what: 'channel' }));
  };

  const answerDial = async (request: DialRequest) => {
    try {
      const upstream = upstreams.get(request.tunnelId);
      if (!upstream) throw fail('TUNNEL_NOT_FOUND');
      await needs.answerDial(request, upstream);
    } catch (thrown) {
      const error = wireErrorFrom(engineErrorFrom(thrown));
      if (!lifecycle.isClosed) connection.send({ kind: 'dial-result', streamId: request.streamId, error });
    }
  };

  const settleTunnel = (answer: TunnelAnswer) => {
    const request = pending.get(answer.requestId);
    if (!request) return;
    pending.delete(answer.requestId);
    if (answer.kind === 'tunnel-opened') upstreams.set(answer.properties.id ?? '', request.upstream);
    request.settle(answer);
  };

  const handle = (message: Message) => {
    heartbeat.heard(message);
    switch (message.kind) {
      case 'tunnel-opened':
      case 'tunnel-refused':
        return settleTunnel(message);
      case 'dial-request':
        return inBackground(answerDial(message), end);
      case 'tunnel-closed':
        // One tunnel gone is worth a new start: the engine says no more than that, and asking again is what every agent does.
        if (upstreams.has(message.tunnelId)) throw fail('ENGINE_CLOSED', { what: 'tunnel' });
        return;
      case 'channel-closed':
        if (lifecycle.isOpen) throw fail('ENGINE_CLOSED', { what: 'control channel' });
        return end();
      default:
        // Notices, and messages of a newer protocol.
        return;
    }
  };

  const read = async () => {
    while (!lifecycle.isClosed) {
      const message = await connection.receive();
      if (!message) throw fail('ENGINE_CLOSED', { what: 'control channel' });
      handle(message);
    }
  };
  inBackground(read(), end);

  return {
    ended,
    openTunnel: (properties, upstream) =>
      new Promise((resolve, reject) => {
        requestCount += 1;
        const requestId = String(requestCount);
        connection.send({ kind: 'open-tunnel', requestId, properties });
        const deadline = destroyWhenSilent(clock, connection);
        pending.set(requestId, {
          upstream,
          settle(answer) {
            deadline.cancel();
            if (answer.kind === 'tunnel-opened') resolve(answer.properties);
            else reject(errorFromWire(answer.error));
          },
          reject(cause) {
            deadline.cancel();
            reject(cause);
          },
        });
      }),
    close() {
      if (!lifecycle.beginClosing()) return ended;
      connection.send({ kind: 'close-channel' });
      const deadline = clock.after(LIMITS.channelCloseMsMax, end);
      lifecycle.onClosed(() => deadline.cancel());
      return ended;
    },
  };
};
