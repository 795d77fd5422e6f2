/**
 * The SQL of records: what happened to exchanges and streams, in a capped file of its own.
 *
 * Flow: observe/records.ts appends batches; records-search.ts finds.
 * Invariant: ids grow, and none is given twice as long as the file is open, so that a search can go on where it ended. A batch is a
 * bounded amount of work, also after the caps were lowered.
 * Limits: countMax and ageMsMax (options), recordsPrunedMax, recordsVacuumPagesMax, recordsFoundMax.
 */
import { LIMITS } from '../base/limits.ts';
import { type Connection, type Database, openDatabase } from './database.ts';
import type { Migration } from './migrations.ts';
import { type FoundRecord, RECORD_COLUMNS, RECORD_NAMES, type StoredRecord } from './record-row.ts';
import { type RecordsQuery, type RecordsStride, strideThrough } from './records-search.ts';

export interface RecordsOptions {
  readonly path: string;
  readonly countMax: number;
  readonly ageMsMax: number;
}

/** The open file. Everything in it throws STORE_UNAVAILABLE. */
export interface RecordsTable {
  /** Adds a batch and removes what is beyond the caps. */
  append(records: readonly StoredRecord[], nowMs: number): void;
  /** Looks at a bounded number of rows; whoever has others to serve goes on later. */
  stride(query: RecordsQuery): RecordsStride;
  /** The newest first, however long it takes. */
  search(query: RecordsQuery): FoundRecord[];
  find(id: number): FoundRecord | undefined;
  close(): void;
}

const FIRST_NAMES = RECORD_NAMES.filter((name) => name !== 'offered_groups');

export const RECORDS_MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    reason:
      'one row for each exchange and stream; no index but the id, as writing must be cheap and the rows are capped',
    sql: `CREATE TABLE records (id INTEGER PRIMARY KEY, ${FIRST_NAMES.map((name) => `${name} ${RECORD_COLUMNS[name]}`).join(', ')}) STRICT;`,
  },
  {
    number: 2,
    reason: 'which key exchanges clients could do, to see what a stricter rule would cost',
    sql: `ALTER TABLE records ADD COLUMN offered_groups ${RECORD_COLUMNS.offered_groups};`,
  },
];

/** Opens the file, or makes it. Throws STORE_UNAVAILABLE or STORE_TOO_NEW. */
export const openRecordsTable = (options: RecordsOptions): RecordsTable => {
  const { path } = options;
  const database = openDatabase({ path, mode: 'create', migrations: RECORDS_MIGRATIONS, isExpendable: true });
  const insert = database.use((connection) =>
    connection.prepare(
      `INSERT INTO records (id, ${RECORD_NAMES.join(', ')}) VALUES (?, ${RECORD_NAMES.map(() => '?').join(', ')})`,
    ),
  );
  let lastId = edgeId(database, 'max');

  return {
    append(records, nowMs) {
      database.transact((connection) => {
        let id = lastId;
        for (const record of records) insert.run(++id, ...RECORD_NAMES.map((name) => record[name]));
        prune(connection, id, nowMs, options);
        // Ids of a batch that was rolled back are free.
        lastId = id;
      });
      database.use((connection) => connection.pragma(`incremental_vacuum(${LIMITS.recordsVacuumPagesMax})`));
    },

    stride: (query) => database.use((connection) => strideThrough(connection, query)),
    search(query) {
      const limit = Math.min(query.limit, LIMITS.recordsFoundMax);
      const all: FoundRecord[] = [];
      let beforeId = query.beforeId;
      do {
        const rest = { ...query, beforeId, limit: limit - all.length };
        const stride = database.use((connection) => strideThrough(connection, rest));
        all.push(...stride.found);
        beforeId = stride.beforeId;
      } while (beforeId !== undefined && all.length < limit);
      return all;
    },
    find: (id) =>
      database.use((connection) =>
        connection.prepare<[number], FoundRecord>('SELECT * FROM records WHERE id = ?').get(id),
      ),

    close: () => database.close(),
  };
};

const edgeId = (database: Database, edge: 'min' | 'max'): number =>
  database.use(
    (connection) =>
      connection.prepare<[], number | null>(`SELECT ${edge}(id) FROM records`).pluck().get() ?? 0,
  );

const prune = (
  connection: Connection,
  lastId: number,
  nowMs: number,
  { countMax, ageMsMax }: RecordsOptions,
): void => {
  const firstId = connection.prepare<[], number | null>('SELECT min(id) FROM records').pluck().get();
  if (firstId == null) return;
  // Ids are in the order of ends, so the scan stops at the first that is young enough.
  const firstYoung = connection
    .prepare<[number], number>('SELECT id FROM records WHERE at + duration_ms >= ? ORDER BY id LIMIT 1')
    .pluck()
    .get(nowMs - ageMsMax);
  const keptFrom = Math.max(lastId - countMax + 1, firstYoung ?? lastId + 1);
  if (keptFrom <= firstId) return;
  connection
    .prepare('DELETE FROM records WHERE id < ?')
    .run(Math.min(keptFrom, firstId + LIMITS.recordsPrunedMax));
};
