/**
 * Slows those down who guess passwords, without locking the owner out.
 *
 * Flow: admin-logins.ts begins an attempt before it looks at a password, and takes it back when the proof was right.
 * Invariant: an attempt counts from its beginning, so that many at once gain nothing. An account waits for seconds only, and not at all
 * for a source that has logged in to it before: who guesses from elsewhere cannot keep its owner out. A one-time link never waits for an
 * account either.
 * Limits: loginFailuresFree, loginAddressWaitMsMax, loginAccountWaitMsMax, loginFailuresKeptMs, loginSourcesMax.
 */
import { fail } from '../base/errors.ts';
import { isLoopbackAddress, sourceOf } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

/** One try to log in. */
export interface LoginAttempt {
  /** It was no failure, and it was no login either. */
  takeBack(): void;
  /** The proof was right: the failures of this source are forgotten, and it is known to the account from now on. */
  succeed(accountId: string): void;
}

export interface LoginThrottle {
  /**
   * @param accountId undefined where there is no account: only the source then counts
   * @throws LOGIN_THROTTLED, and nothing is counted
   */
  begin(address: string, accountId?: string): LoginAttempt;
}

interface Failures {
  count: number;
  lastMs: number;
}

const FIRST_WAIT_MS = 1_000;

export const createLoginThrottle = ({ clock }: { clock: Clock }): LoginThrottle => {
  const bySource = new Map<string, Failures>();
  const byAccount = new Map<string, Failures>();
  const known = new Set<string>();

  const waitMs = (failures: Failures | undefined, ceilingMs: number): number => {
    if (!failures || failures.count < LIMITS.loginFailuresFree) return 0;
    const pauseMs = FIRST_WAIT_MS * 2 ** Math.min(failures.count - LIMITS.loginFailuresFree, 30);
    return failures.lastMs + Math.min(ceilingMs, pauseMs) - clock.elapsed();
  };

  const count = (failures: Map<string, Failures>, key: string) => {
    const found = failures.get(key);
    const isOld = found && clock.elapsed() - found.lastMs > LIMITS.loginFailuresKeptMs;
    const entry = found && !isOld ? found : { count: 0, lastMs: 0 };
    entry.count += 1;
    entry.lastMs = clock.elapsed();
    // The youngest last: the oldest leaves when there are too many.
    failures.delete(key);
    failures.set(key, entry);
    if (failures.size > LIMITS.loginSourcesMax) failures.delete(failures.keys().next().value!);
  };
  const uncount = (failures: Map<string, Failures>, key: string) => {
    const entry = failures.get(key);
    if (entry && entry.count > 0) entry.count -= 1;
  };

  return {
    begin(address, accountId) {
      const source = sourceOf(address);
      const account = known.has(`${accountId} ${source}`) ? undefined : accountId;
      // Everybody on this machine is one source, the owner among them.
      const isShared = isLoopbackAddress(address);
      const wait = Math.max(
        waitMs(bySource.get(source), isShared ? LIMITS.loginAccountWaitMsMax : LIMITS.loginAddressWaitMsMax),
        account === undefined ? 0 : waitMs(byAccount.get(account), LIMITS.loginAccountWaitMsMax),
      );
      if (wait > 0) throw fail('LOGIN_THROTTLED', { retrySeconds: Math.ceil(wait / 1_000) });
      count(bySource, source);
      if (account !== undefined) count(byAccount, account);
      const takeBack = () => {
        uncount(bySource, source);
        if (account !== undefined) uncount(byAccount, account);
      };
      return {
        takeBack,
        succeed(provenId) {
          takeBack();
          bySource.delete(source);
          known.add(`${provenId} ${source}`);
          if (known.size > LIMITS.loginSourcesMax) known.delete(known.values().next().value!);
        },
      };
    },
  };
};
