/**
 * Who gave so many bad proofs that others are not even looked at for a while.
 *
 * A source is what one peer can choose its addresses from (base/ip.ts). One counter for all doors: whoever guesses moves from door to door.
 * Flow: store/proofs.ts asks before it verifies what it does not know, and tells what was bad.
 * Invariant: nobody is locked out by another's doing for longer than the longest pause, exempt sources never, and a proof that is known
 * to be good is not asked about. The table cannot be filled against others: the source that was bad longest ago yields, and whoever
 * has so many addresses gains nothing by being forgotten. A good proof forgives nothing, or a guesser would send his own in between.
 * No timer: each bad proof looks at the two sources that were bad longest ago.
 * Limits: badProofsMax, badProofsForgetMs, proofPauseMsMin, proofPauseMsMax, badProofSourcesMax.
 */
import { type EngineError, fail } from './errors.ts';
import { sourceOf } from './ip.ts';
import { LIMITS } from './limits.ts';
import type { Clock } from './time.ts';

export interface ProofThrottleNeeds {
  readonly clock: Clock;
  /** Whether an address is never refused; asked only when it would be. */
  isExempt(address: string): boolean;
}

export interface ProofThrottle {
  /** AUTHENTICATION_THROTTLED while the source of an address has to pause. */
  refusalOf(address: string): EngineError | undefined;
  /** Counts a proof that was bad. */
  countBad(address: string): void;
  /** Sources that are remembered. */
  readonly count: number;
}

interface Source {
  badCount: number;
  lastMs: number;
  pausedUntilMs: number;
}

export const createProofThrottle = ({ clock, isExempt }: ProofThrottleNeeds): ProofThrottle => {
  // In the order of their last bad proof.
  const sources = new Map<string, Source>();

  const isForgotten = ({ lastMs }: Source, nowMs: number) => nowMs - lastMs >= LIMITS.badProofsForgetMs;

  const forgetOldest = (nowMs: number) => {
    let lookCount = 2;
    for (const [key, source] of sources) {
      const isOver = isForgotten(source, nowMs) || sources.size > LIMITS.badProofSourcesMax;
      if (!isOver || lookCount-- === 0) return;
      sources.delete(key);
    }
  };

  return {
    refusalOf(address) {
      if (sources.size === 0) return undefined;
      const source = sources.get(sourceOf(address));
      const leftMs = (source?.pausedUntilMs ?? 0) - clock.elapsed();
      if (leftMs <= 0 || isExempt(address)) return undefined;
      return fail('AUTHENTICATION_THROTTLED', { retrySeconds: Math.ceil(leftMs / 1_000) });
    },
    countBad(address) {
      const nowMs = clock.elapsed();
      const key = sourceOf(address);
      const known = sources.get(key);
      const badCount = known && !isForgotten(known, nowMs) ? known.badCount + 1 : 1;
      const pausedUntilMs = nowMs + pauseMsAfter(badCount);
      sources.delete(key);
      sources.set(key, { badCount, lastMs: nowMs, pausedUntilMs });
      forgetOldest(nowMs);
    },
    get count() {
      return sources.size;
    },
  };
};

const pauseMsAfter = (badCount: number): number =>
  badCount < LIMITS.badProofsMax
    ? 0
    : Math.min(LIMITS.proofPauseMsMax, LIMITS.proofPauseMsMin * 2 ** (badCount - LIMITS.badProofsMax));
