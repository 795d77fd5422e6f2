/**
 * The rows of deliveries: the queue of what is to be told, and the log of what was.
 *
 * Flow: observe/webhooks.ts appends batches, webhook-lane.ts takes the next one and says how it went.
 * Invariant: numbers grow and are never given twice, so that the log can be read on where a page ended. The body leaves only by `next` and
 * `find`, for those who send it: lists have none.
 * Limits: webhookDeliveriesKeptMax, webhookDeliveriesKeptMs, webhookDeliveriesPrunedMax, webhookEventMsMax,
 * webhookVacuumPagesMax.
 */
import type { ErrorCode } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Connection, Database } from './database.ts';

/** `failed`: it was tried once, by hand, and is not repeated; `expired`: too old to be told. */
export type DeliveryState = 'waiting' | 'delivered' | 'failed' | 'expired';

/** An event on its way to one webhook, or what became of it. Times are milliseconds since 1970. */
export interface Delivery {
  /** The higher, the later. */
  readonly number: number;
  readonly id: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly type: string;
  /** When it was put into the queue. */
  readonly createdAt: number;
  readonly state: DeliveryState;
  readonly attemptCount: number;
  /** How often it failed while others of the webhook arrived. */
  readonly setbackCount: number;
  /** Not tried before. */
  readonly dueAt: number;
  readonly triedAt: number | null;
  /** HTTP status of the last answer. */
  readonly status: number | null;
  readonly code: ErrorCode | null;
  readonly durationMs: number | null;
}

/** With what is sent. */
export type OutgoingDelivery = Delivery & { readonly body: string };

export type NewDelivery = Pick<
  OutgoingDelivery,
  'id' | 'webhookId' | 'eventId' | 'type' | 'createdAt' | 'body'
>;

/** How an attempt went. */
export interface AttemptOutcome {
  readonly state: DeliveryState;
  readonly triedAt: number;
  readonly status: number | undefined;
  readonly code: ErrorCode | undefined;
  readonly durationMs: number;
}

export type DeliveryTable = ReturnType<typeof createDeliveryTable>;

const COLUMNS = `number, id, webhook_id AS webhookId, event_id AS eventId, type, created_at AS createdAt, state,
  attempt_count AS attemptCount, setback_count AS setbackCount, due_at AS dueAt, tried_at AS triedAt, status, code,
  duration_ms AS durationMs`;

/** Prepares the statements once. */
export const createDeliveryTable = (database: Database) => {
  const statements = database.use(prepare);
  return {
    /** Adds deliveries that wait, all or none. */
    append(deliveries: readonly NewDelivery[]): void {
      database.transact(() => {
        for (const delivery of deliveries) statements.insert.run(delivery);
      });
    },
    /** The oldest that may be tried now, or the one behind it where `skip` is 1. */
    next: (webhookId: string, nowMs: number, skip: 0 | 1): OutgoingDelivery | undefined =>
      database.use(() => statements.next.get(webhookId, nowMs, skip)),
    /** When the first of those that wait may be tried; undefined when none waits. */
    nextDueAt: (webhookId: string): number | undefined =>
      database.use(() => statements.nextDueAt.get(webhookId) ?? undefined),
    /** Writes down an attempt. */
    note: (number: number, outcome: AttemptOutcome): void =>
      void database.use(() =>
        statements.note.run({
          ...outcome,
          number,
          status: outcome.status ?? null,
          code: outcome.code ?? null,
        }),
      ),
    /** Has those that failed before a later one arrived wait until a time, each counted as a setback. */
    setBack: (
      webhookId: string,
      beforeNumber: number,
      nowMs: number,
      dueAtOf: (setbacks: number) => number,
    ) =>
      database.transact(() => {
        for (const { number, setbackCount } of statements.failing.all(webhookId, beforeNumber, nowMs))
          statements.setBack.run({ number, dueAt: dueAtOf(setbackCount) });
      }),
    /** How many wait, by the id of their webhook. */
    waitingCounts: (): ReadonlyMap<string, number> =>
      new Map(database.use(() => statements.waiting.all()).map(({ webhookId, count }) => [webhookId, count])),
    /** The newest first, those before a number where one is given. */
    list: (webhookId: string, limit: number, before = Number.MAX_SAFE_INTEGER): Delivery[] =>
      database.use(() => statements.list.all(webhookId, before, limit)),
    find: (id: string): OutgoingDelivery | undefined => database.use(() => statements.find.get(id)),
    /** Lets go what is beyond age and number, a bounded part of it. Returns how many of those that waited have expired. */
    prune: (nowMs: number): number => database.transact(() => prune(statements, nowMs)),
    /** Gives back to the disk what has become free, a bounded part of it. */
    shrink: (): void =>
      void database.use((connection) =>
        connection.pragma(`incremental_vacuum(${LIMITS.webhookVacuumPagesMax})`),
      ),
  };
};

const prepare = (connection: Connection) => ({
  insert: connection.prepare(
    `INSERT INTO deliveries (id, webhook_id, event_id, type, created_at, body, state, attempt_count, setback_count, due_at)
     SELECT :id, :webhookId, :eventId, :type, :createdAt, :body, 'waiting', 0, 0, 0
     WHERE EXISTS (SELECT 1 FROM webhooks WHERE id = :webhookId)`,
  ),
  next: connection.prepare<[string, number, number], OutgoingDelivery>(
    `SELECT ${COLUMNS}, body FROM deliveries WHERE webhook_id = ? AND state = 'waiting' AND due_at <= ?
     ORDER BY number LIMIT 1 OFFSET ?`,
  ),
  nextDueAt: connection
    .prepare<[string], number | null>(
      "SELECT min(due_at) FROM deliveries WHERE webhook_id = ? AND state = 'waiting'",
    )
    .pluck(),
  note: connection.prepare(
    // One that expired while it was tried stays so, unless it has arrived.
    `UPDATE deliveries SET state = iif(state = 'waiting' OR :state = 'delivered', :state, state), attempt_count = attempt_count + 1,
       tried_at = :triedAt, status = :status, code = :code, duration_ms = :durationMs
     WHERE number = :number`,
  ),
  failing: connection.prepare<[string, number, number], Pick<Delivery, 'number' | 'setbackCount'>>(
    `SELECT number, setback_count AS setbackCount FROM deliveries
     WHERE webhook_id = ? AND state = 'waiting' AND number < ? AND due_at <= ? AND attempt_count > 0`,
  ),
  setBack: connection.prepare(
    'UPDATE deliveries SET setback_count = setback_count + 1, due_at = :dueAt WHERE number = :number',
  ),
  waiting: connection.prepare<[], { webhookId: string; count: number }>(
    "SELECT webhook_id AS webhookId, count(*) AS count FROM deliveries WHERE state = 'waiting' GROUP BY webhook_id",
  ),
  list: connection.prepare<[string, number, number], Delivery>(
    `SELECT ${COLUMNS} FROM deliveries WHERE webhook_id = ? AND number < ? ORDER BY number DESC LIMIT ?`,
  ),
  find: connection.prepare<[string], OutgoingDelivery>(
    `SELECT ${COLUMNS}, body FROM deliveries WHERE id = ?`,
  ),
  expire: connection.prepare(
    `UPDATE deliveries SET state = 'expired' WHERE number IN
       (SELECT number FROM deliveries WHERE state = 'waiting' AND created_at < ? ORDER BY created_at LIMIT ?)`,
  ),
  overCount: connection
    .prepare<[], number>("SELECT count(*) FROM deliveries WHERE state <> 'waiting'")
    .pluck(),
  forget: connection.prepare(
    `DELETE FROM deliveries WHERE number IN
       (SELECT number FROM deliveries WHERE state <> 'waiting' ORDER BY number LIMIT :limit) AND
       (:isOverCount OR created_at < :before)`,
  ),
});

const prune = (statements: ReturnType<typeof prepare>, nowMs: number): number => {
  const most = LIMITS.webhookDeliveriesPrunedMax;
  const expired = statements.expire.run(nowMs - LIMITS.webhookEventMsMax, most).changes;
  const surplus = (statements.overCount.get() ?? 0) - LIMITS.webhookDeliveriesKeptMax;
  const before = nowMs - LIMITS.webhookDeliveriesKeptMs;
  if (surplus > 0) statements.forget.run({ limit: Math.min(surplus, most), isOverCount: 1, before });
  statements.forget.run({ limit: most, isOverCount: 0, before });
  return expired;
};
