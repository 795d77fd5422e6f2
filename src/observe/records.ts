/**
 * Keeps a record of exchanges and streams in a database of its own, off the hot path.
 *
 * Flow: engine.ts hands in every record when its exchange is over; what is kept of it waits in a bounded queue for the next batch.
 * Invariant: no query, no header but the user agent, and nothing that a downstream sent as proof is ever kept. A full queue, or a
 * disk that fails, costs records and nothing else: what is lost is counted, and said once. A damaged file is set aside, and a new one begun.
 * Limits: recordsQueuedMax, recordsBatchMax, recordsFlushMs, recordsRetryMs.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { TrafficRecord } from '../base/record.ts';
import type { Clock, Timer } from '../base/time.ts';
import { asideOf, isDamage, setAside } from '../store/database.ts';
import type { FoundRecord, StoredRecord } from '../store/record-row.ts';
import { openRecordsTable, type RecordsOptions, type RecordsTable } from '../store/records.ts';
import type { RecordsQuery, RecordsStride } from '../store/records-search.ts';
import { storedFrom } from './stored-record.ts';

export interface RecordsNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  /** Opens the file; tests hand in one that fails. */
  readonly open?: (options: RecordsOptions) => RecordsTable;
  countryOf(address: string): string | undefined;
}

export interface Records {
  /** Never throws. */
  keep(record: TrafficRecord): void;
  /** The newest first; what waits for its batch is not found yet. Throws STORE_UNAVAILABLE, and ENGINE_DRAINING once closed. */
  search(query: RecordsQuery): FoundRecord[];
  /** The same, but no further than a bounded number of rows at a time. */
  stride(query: RecordsQuery): RecordsStride;
  find(id: number): FoundRecord | undefined;
  readonly keptCount: number;
  /** Records that found the queue full or the disk failing. */
  readonly lostCount: number;
  /** Writes what waits, and closes the file. */
  close(): void;
}

// The last part of the queue is for what failed: that is what records are looked at for.
const ROOM_FOR_SUCCESS = LIMITS.recordsQueuedMax * 0.75;

export const createRecords = (
  { clock, log, open = openRecordsTable, countryOf }: RecordsNeeds,
  options: RecordsOptions,
): Records => {
  const queue: StoredRecord[] = [];
  let table: RecordsTable | undefined;
  let timer: Timer | undefined;
  let keptCount = 0;
  let lostCount = 0;
  let failedAtMs: number | undefined;
  let anewAtMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;

  const opened = (): RecordsTable => {
    if (isClosed) throw fail('ENGINE_DRAINING');
    table ??= open(options);
    return table;
  };

  const giveUp = (error: EngineError) => {
    if (failedAtMs === undefined) log.error({ code: error.code, error }, 'records are not kept');
    failedAtMs = clock.elapsed();
    table?.close();
    table = undefined;
  };

  /** A disk that damages one file after the other is one that fails. */
  const startAnew = (damage: unknown) => {
    if (!isDamage(damage) || clock.elapsed() - anewAtMs < LIMITS.recordsRetryMs) throw damage;
    table?.close();
    table = undefined;
    setAside(options.path);
    anewAtMs = clock.elapsed();
    log.error({ path: options.path, aside: asideOf(options.path) }, 'damaged records were set aside');
  };

  const append = (batch: readonly StoredRecord[]) => {
    try {
      opened().append(batch, clock.now());
    } catch (thrown) {
      startAnew(thrown);
      opened().append(batch, clock.now());
    }
    keptCount += batch.length;
    if (failedAtMs !== undefined) log.info({ lostCount }, 'records are kept again');
    failedAtMs = undefined;
  };

  const write = (batch: readonly StoredRecord[]) => {
    const isResting = failedAtMs !== undefined && clock.elapsed() - failedAtMs < LIMITS.recordsRetryMs;
    try {
      if (!isResting) return append(batch);
    } catch (thrown) {
      giveUp(engineErrorFrom(thrown));
    }
    lostCount += batch.length;
  };

  const flush = () => {
    write(queue.splice(0, LIMITS.recordsBatchMax));
    timer = queue.length > 0 ? clock.after(LIMITS.recordsFlushMs, flush) : undefined;
  };

  return {
    keep(record) {
      // A relay may tell of its end when the engine has stopped.
      if (isClosed || queue.length >= (record.error ? LIMITS.recordsQueuedMax : ROOM_FOR_SUCCESS)) {
        lostCount += 1;
        return;
      }
      queue.push(storedFrom(record, clock.now(), countryOf));
      timer ??= clock.after(LIMITS.recordsFlushMs, flush);
    },

    search: (query) => opened().search(query),
    stride: (query) => opened().stride(query),
    find: (id) => opened().find(id),

    get keptCount() {
      return keptCount;
    },
    get lostCount() {
      return lostCount;
    },

    close() {
      timer?.cancel();
      timer = undefined;
      if (queue.length > 0) write(queue.splice(0));
      isClosed = true;
      table?.close();
      table = undefined;
    },
  };
};
