/**
 * What is known of one tunnel: whether bytes come from its upstream, by proof and not by an open socket.
 *
 * States: suspect (nothing proved yet, the last probe failed, or the proof is too old) <-> online (proved within two intervals) and
 * down (probeFailuresMax failures in a row). One proof, by traffic or probe, leads back to online from everywhere.
 * Invariant: pure; times are the clock's elapsed milliseconds. Failures count from the last proof on, so that traffic, which tells nobody
 * but the tunnel's pulse, needs no transition.
 */
import type { EngineError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Pulse } from '../tunnel/tunnel.ts';

/** By rising trouble. */
export const TRUTH_STATES = ['online', 'suspect', 'down'] as const;
export type TruthState = (typeof TRUTH_STATES)[number];

export interface Failure {
  readonly atMs: number;
  readonly error: EngineError;
}

export type Standing = ReturnType<typeof createStanding>;

/**
 * @param pulse of the tunnel: its proof by traffic
 * @param intervalMs of probes
 */
export const createStanding = (pulse: Pulse, intervalMs: number) => {
  let probedAtMs = Number.NEGATIVE_INFINITY;
  let failure: Failure | undefined;
  let count = 0;
  const proofMs = () => Math.max(probedAtMs, pulse.atMs);
  const failureCount = () => (failure && failure.atMs > proofMs() ? count : 0);
  return {
    /** A probe was answered. */
    proved(nowMs: number): void {
      probedAtMs = nowMs;
    },

    /** A probe was not answered. */
    failed(nowMs: number, error: EngineError): void {
      count = failureCount() + 1;
      failure = { atMs: nowMs, error };
    },

    stateAt(nowMs: number): TruthState {
      if (failureCount() >= LIMITS.probeFailuresMax) return 'down';
      const isFresh = nowMs - proofMs() <= 2 * intervalMs;
      return isFresh && failureCount() === 0 ? 'online' : 'suspect';
    },

    /** Failures since the last proof. */
    get failureCount(): number {
      return failureCount();
    },

    /** The last proof; -Infinity as long as there is none. */
    get proofMs(): number {
      return proofMs();
    },

    /** How the last proof was given. */
    get how(): 'traffic' | 'probe' {
      return pulse.atMs >= probedAtMs ? 'traffic' : 'probe';
    },

    /** The last failure, also one that a proof has followed. */
    get lastFailure(): Failure | undefined {
      return failure;
    },
  };
};
