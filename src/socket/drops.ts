/**
 * Connections that are dropped for being too many: closed at once, counted, and told of in a few lines.
 *
 * Flow: listener.ts and arrivals.ts drop; metrics read the counts.
 * Invariant: dropping costs as little as it can: nothing is sent, no error is made, and at a limit, where there may be thousands of
 * them a second, one line a second and reason says how many there were.
 * Limits: connectionLimitLogMs.
 */
import { fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';

/** Why a connection is dropped: a code of the error table. */
export type DropReason =
  | 'CONNECTION_LIMIT'
  | 'HANDSHAKE_LIMIT'
  | 'SOURCE_CONNECTION_LIMIT'
  | 'SOURCE_RATE_LIMIT';

/** Who is dropped; what the system no longer knows is missing. */
export interface Dropped {
  readonly remoteAddress: string;
  readonly remotePort: number;
}

export interface Drops {
  /** Notes that a connection is dropped for a limit; closing it is the caller's. */
  note(reason: DropReason, limit: number, dropped: Dropped): void;
  /** Since the start; what never happened is missing. */
  readonly counts: Readonly<Partial<Record<DropReason, number>>>;
}

export const createDrops = ({ clock, log }: { readonly clock: Clock; readonly log: Logger }): Drops => {
  const counts: Partial<Record<DropReason, number>> = {};
  const told = new Map<DropReason, { atMs: number; count: number }>();
  return {
    note(reason, limit, { remoteAddress, remotePort }) {
      const count = (counts[reason] ?? 0) + 1;
      counts[reason] = count;
      const before = told.get(reason);
      const nowMs = clock.elapsed();
      if (before && nowMs - before.atMs < LIMITS.connectionLimitLogMs) return;
      told.set(reason, { atMs: nowMs, count });
      const error = fail(reason, { limit });
      const fields = { code: reason, errorId: newErrorId(), droppedCount: count - (before?.count ?? 0) };
      log.warn({ ...fields, remote: addressWithPort(remoteAddress, remotePort) }, error.message);
    },
    counts,
  };
};
