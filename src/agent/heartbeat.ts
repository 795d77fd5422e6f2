/**
 * The agent's half of liveness (protocol.md 4): it sends heartbeats, and takes an engine that is silent for too long for gone.
 *
 * Invariant: only the agent numbers heartbeats; an engine that acknowledges what was not sent, or twice, is out of step and is left.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Clock, every } from '../base/time.ts';
import type { Liveness, Message } from '../wire/message.ts';
import { destroyWhenSilent, type EngineConnection } from './connection.ts';

/** Made by {@link startHeartbeat}. */
export interface Heartbeat {
  /** Any message of the engine proves that it lives. Throws ENGINE_PROTOCOL for an acknowledgement out of step. */
  heard(message: Message): void;
  stop(): void;
}

/**
 * @param liveness what was negotiated; undefined means legacy mode: empty heartbeats, and TCP keep-alive to notice the engine's end
 */
export const startHeartbeat = (
  clock: Clock,
  connection: EngineConnection,
  liveness: Liveness | undefined,
): Heartbeat => {
  let sent = 0n;
  let acknowledged = 0n;
  const beat = () => {
    if (liveness) sent += 1n;
    connection.send({ kind: 'heartbeat', sequence: sent, acknowledgement: 0n });
  };
  const silence = liveness && destroyWhenSilent(clock, connection, liveness.heartbeatTimeoutMs);
  beat();
  const beats = every(clock, liveness?.heartbeatIntervalMs ?? LIMITS.agentHeartbeatMs, beat);

  return {
    heard(message) {
      silence?.refresh();
      if (message.kind !== 'heartbeat' || !liveness) return;
      const isInStep = message.acknowledgement > acknowledged && message.acknowledgement <= sent;
      if (message.sequence !== 0n || !isInStep) throw outOfStep();
      acknowledged = message.acknowledgement;
    },
    stop() {
      silence?.cancel();
      beats.cancel();
    },
  };
};

const outOfStep = (): EngineError =>
  fail('ENGINE_PROTOCOL', { problem: 'its heartbeats answer none that was sent' });
