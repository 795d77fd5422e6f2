/**
 * How many connections one source may have, and how fast it may open them.
 *
 * A source is what one peer can choose its addresses from (base/ip.ts): an IPv4 address, an IPv6 /64.
 * Flow: arrivals.ts takes a place for each connection before its TLS begins, and gives it back when the connection closes.
 * Invariant: the table cannot be filled against others. A source with connections is held by them, and they are bounded as a whole; of
 * those without, the longest idle is forgotten first. Whoever has so many addresses gains nothing by what is forgotten, and nobody is
 * refused for another's doing. A rate is a bucket of tokens (one each connection), which forgetting a source that has been idle long
 * enough leaves as full as it is. No timer: each arrival looks at the two that are idle longest.
 * Limits: by options (0 is none), sourceBurstSeconds, idleSourcesMax.
 */
import { sourceOf } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface SourceLimitsNeeds {
  readonly clock: Clock;
  /** Whether an address is counted and never refused; asked only when it would be. */
  isExempt(address: string): boolean;
}

/** 0 is no bound. */
export interface SourceLimitsOptions {
  readonly connectionsPerSource: number;
  /** Connections a second. */
  readonly ratePerSource: number;
}

/** The place of one connection. */
export interface SourcePlace {
  /** Gives it back; to be called once. */
  release(): void;
}

/** Why there is no place: a code of the error table, and the limit that it tells of. */
export interface SourceRefusal {
  readonly reason: 'SOURCE_CONNECTION_LIMIT' | 'SOURCE_RATE_LIMIT';
  readonly limit: number;
}

export interface SourceLimits {
  /** Takes a place for a connection that begins, or says why there is none. */
  take(address: string): SourcePlace | SourceRefusal;
  /** Sources that are remembered. */
  readonly count: number;
}

/** A place is given back to the source itself. */
interface Source {
  connectionCount: number;
  /** Connections that it may open now. */
  tokens: number;
  /** When `tokens` was right, and when its last connection closed. */
  countedMs: number;
  idleSinceMs: number;
}

export const createSourceLimits = (
  { clock, isExempt }: SourceLimitsNeeds,
  { connectionsPerSource, ratePerSource }: SourceLimitsOptions,
): SourceLimits => {
  const tokensMax = ratePerSource * LIMITS.sourceBurstSeconds;
  // Without a rate there is nothing to remember of an idle source.
  const idleMsMax = ratePerSource > 0 ? LIMITS.sourceBurstSeconds * 1_000 : 0;
  const busy = new Map<string, Source>();
  // In the order in which they became idle.
  const idle = new Map<string, Source>();

  const refill = (source: Source, nowMs: number) => {
    const gained = ((nowMs - source.countedMs) / 1_000) * ratePerSource;
    source.tokens = Math.min(tokensMax, source.tokens + gained);
    source.countedMs = nowMs;
  };

  const refusalOf = (source: Source): SourceRefusal | undefined => {
    if (connectionsPerSource > 0 && source.connectionCount >= connectionsPerSource)
      return { reason: 'SOURCE_CONNECTION_LIMIT', limit: connectionsPerSource };
    if (ratePerSource > 0 && source.tokens < 1) return { reason: 'SOURCE_RATE_LIMIT', limit: ratePerSource };
    return undefined;
  };

  const forgetIdle = (nowMs: number) => {
    let lookCount = 2;
    for (const [key, { idleSinceMs }] of idle) {
      const isOver = nowMs - idleSinceMs >= idleMsMax || idle.size > LIMITS.idleSourcesMax;
      if (!isOver || lookCount-- === 0) return;
      idle.delete(key);
    }
  };

  const release = (key: string, source: Source) => {
    source.connectionCount -= 1;
    if (source.connectionCount > 0) return;
    busy.delete(key);
    source.idleSinceMs = clock.elapsed();
    idle.set(key, source);
    if (idle.size > LIMITS.idleSourcesMax) forgetIdle(source.idleSinceMs);
  };

  return {
    take(address) {
      const nowMs = clock.elapsed();
      forgetIdle(nowMs);
      const key = sourceOf(address);
      const source = busy.get(key) ??
        idle.get(key) ?? { connectionCount: 0, tokens: tokensMax, countedMs: nowMs, idleSinceMs: 0 };
      refill(source, nowMs);
      const refusal = refusalOf(source);
      if (refusal && !isExempt(address)) return refusal;
      source.tokens = Math.max(0, source.tokens - 1);
      source.connectionCount += 1;
      idle.delete(key);
      busy.set(key, source);
      return { release: () => release(key, source) };
    },
    get count() {
      return busy.size + idle.size;
    },
  };
};
