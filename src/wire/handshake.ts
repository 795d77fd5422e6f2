/**
 * What both sides check before they trust each other's words: protocol version and liveness, as pure functions.
 *
 * Limits: heartbeatMsMin, heartbeatMsMax, livenessMsMin, livenessMsMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Liveness } from './message.ts';

/** The protocol version that we write into our own client details. */
export const PROTOCOL_VERSION = '1.4.5';

/** The ALPN name of connections that carry frames (protocol.md 1). */
export const AGENT_ALPN = 'rstrm/1';

const MAJOR_SPOKEN = 1;

/**
 * Every 1.x is welcome: all of them share their field numbers (protocol.md 2.2).
 * Throws PROTOCOL_VERSION_MISSING, PROTOCOL_VERSION_INVALID or PROTOCOL_VERSION_INCOMPATIBLE.
 */
export const checkProtocolVersion = (version: string | undefined): void => {
  if (!version) throw fail('PROTOCOL_VERSION_MISSING');
  // The lengths bound what the refusal repeats.
  const match = /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$/.exec(version);
  if (!match) throw fail('PROTOCOL_VERSION_INVALID');
  if (Number(match[1]) !== MAJOR_SPOKEN) throw fail('PROTOCOL_VERSION_INCOMPATIBLE', { version });
};

/**
 * What the engine answers to a request for heartbeats (protocol.md 0.1 and 4.1); undefined when none was made, because clients take
 * an unasked answer for an error. Throws LIVENESS_INVALID.
 */
export const negotiateLiveness = (
  requested: Pick<Liveness, 'heartbeatIntervalMs'> | undefined,
): Liveness | undefined => {
  if (!requested) return undefined;
  const { heartbeatIntervalMs } = requested;
  const { heartbeatMsMin: min, heartbeatMsMax: max } = LIMITS;
  if (heartbeatIntervalMs < min || heartbeatIntervalMs > max) throw fail('LIVENESS_INVALID', { min, max });
  const heartbeatTimeoutMs = Math.min(
    Math.max(LIMITS.livenessMsMin, 3 * heartbeatIntervalMs),
    LIMITS.livenessMsMax,
  );
  return { heartbeatIntervalMs, heartbeatTimeoutMs };
};

/** Whether an engine's answer keeps to what the agent asked for (protocol.md 4.1); no answer means legacy mode. */
export const isLivenessAcceptable = (requestedMs: number, answer: Liveness | undefined): boolean =>
  answer === undefined ||
  (answer.heartbeatIntervalMs === requestedMs &&
    answer.heartbeatTimeoutMs >= requestedMs &&
    answer.heartbeatTimeoutMs <= LIMITS.livenessMsMax);
