/**
 * Finding records, in strides: an index would cost every record that is written, so a search reads rows from the newest on, and stops
 * after so many, found or not, to go on later.
 *
 * Invariant: one stride is a bounded amount of work, whatever is asked for.
 * Limits: recordsScanRowsMax.
 */
import { LIMITS } from '../base/limits.ts';
import type { Connection } from './database.ts';
import type { FoundRecord } from './record-row.ts';

/** What to look for; every field that is there must fit. */
export interface RecordsQuery {
  readonly host?: string | undefined;
  readonly status?: number | undefined;
  /** The first digit of the status. */
  readonly statusClass?: number | undefined;
  readonly code?: string | undefined;
  /** `complete`, `reset` or a code. */
  readonly reason?: string | undefined;
  readonly decision?: string | undefined;
  readonly address?: string | undefined;
  /** By id or by name. */
  readonly tunnel?: string | undefined;
  /** Somewhere in the record, in any case. */
  readonly text?: string | undefined;
  /** Only what ended then or later; milliseconds since 1970. */
  readonly fromMs?: number | undefined;
  /** Only what ended before then. */
  readonly untilMs?: number | undefined;
  /** Only what came before this record. */
  readonly beforeId?: number | undefined;
  readonly limit: number;
}

/** What one stride has found. */
export interface RecordsStride {
  /** The newest first. */
  readonly found: FoundRecord[];
  /** Where the next goes on; undefined when there is nothing left to look at. */
  readonly beforeId: number | undefined;
}

const TEXT_COLUMNS = ['host', 'path', 'user_agent', 'tunnel_name', 'address', 'server_name', 'error_id'];

/** One stride through the rows. */
export const strideThrough = (connection: Connection, query: RecordsQuery): RecordsStride => {
  const { first, last } = connection
    .prepare<[], { first: number | null; last: number | null }>(
      'SELECT (SELECT min(id) FROM records) AS first, (SELECT max(id) FROM records) AS last',
    )
    .get()!;
  if (first === null || last === null) return { found: [], beforeId: undefined };
  const firstEndedAt = (ms: number) => firstIdEndedAt(connection, ms, first, last);
  const lowest = query.fromMs === undefined ? first : firstEndedAt(query.fromMs);
  const highest = query.untilMs === undefined ? last + 1 : firstEndedAt(query.untilMs);
  const before = Math.min(query.beforeId ?? highest, highest);
  const from = Math.max(lowest, before - LIMITS.recordsScanRowsMax);

  const { conditions, values } = conditionsFrom(query);
  const found = connection
    .prepare<unknown[], FoundRecord>(
      `SELECT * FROM records WHERE ${['id >= ?', 'id < ?', ...conditions].join(' AND ')} ORDER BY id DESC LIMIT ?`,
    )
    .all(from, before, ...values, query.limit);
  const lookedAt = found.length < query.limit ? from : (found.at(-1)?.id ?? from);
  return { found, beforeId: lookedAt > lowest ? lookedAt : undefined };
};

/** Ids are in the order of ends, so halving finds the first that ended at a time or later; one after the last where none did. */
const firstIdEndedAt = (connection: Connection, ms: number, first: number, last: number): number => {
  const endOf = connection
    .prepare<[number], number>('SELECT at + duration_ms FROM records WHERE id >= ? ORDER BY id LIMIT 1')
    .pluck();
  let low = first;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((endOf.get(middle) ?? Infinity) >= ms) high = middle;
    else low = middle + 1;
  }
  return low;
};

const conditionsFrom = (query: RecordsQuery): { conditions: string[]; values: unknown[] } => {
  const { host, status, statusClass, code, reason, decision, address, tunnel, text } = query;
  const equal = Object.entries({ host, status, code, reason, decision, address });
  const asked: readonly (readonly [condition: string, ...values: unknown[]])[] = [
    ...equal.flatMap(([name, value]) => (value === undefined ? [] : [[`${name} = ?`, value] as const])),
    ...(statusClass === undefined ? [] : [['status / 100 = ?', statusClass] as const]),
    ...(tunnel === undefined ? [] : [['(tunnel_id = ? OR tunnel_name = ?)', tunnel, tunnel] as const]),
    ...(text
      ? [
          [
            // Not LIKE, which steps through a text that is almost everywhere character by character: seconds of everybody's time.
            `(${TEXT_COLUMNS.map((name) => `instr(lower(${name}), lower(?)) > 0`).join(' OR ')})`,
            ...TEXT_COLUMNS.map(() => text),
          ] as const,
        ]
      : []),
  ];
  return {
    conditions: asked.map(([condition]) => condition),
    values: asked.flatMap(([, ...values]) => values),
  };
};
