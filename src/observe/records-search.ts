/**
 * Searches the records for people, beside traffic: in strides, with everybody else's turn between two of them.
 *
 * Flow: the Admin API asks for pages and exports, the dry run of a policy for all of a week.
 * Invariant: no stride is taken for somebody who has left; there are only so many searches at once.
 * Limits: recordsSearchMs, recordsSearchesMax, recordsScanRowsMax (in the store).
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { FoundRecord } from '../store/record-row.ts';
import type { RecordsQuery, RecordsStride } from '../store/records-search.ts';
import type { Records } from './records.ts';

export interface RecordsSearchNeeds {
  readonly clock: Clock;
  /** Absent where none are kept. */
  readonly records: Pick<Records, 'stride' | 'find'> | undefined;
}

/** Everything throws RECORDS_OFF, RECORDS_BUSY or STORE_UNAVAILABLE. */
export interface RecordsSearch {
  readonly isOn: boolean;
  /**
   * As many as the query's limit, or as were found in recordsSearchMs.
   * @param isWanted asked between strides
   */
  page(query: RecordsQuery, isWanted: () => boolean): Promise<RecordsStride>;
  /** All of them, a stride at a time; `limit` counts the whole. */
  strides(query: RecordsQuery): AsyncGenerator<readonly FoundRecord[]>;
  find(id: number): FoundRecord;
}

export const createRecordsSearch = ({ clock, records }: RecordsSearchNeeds): RecordsSearch => {
  let runningCount = 0;

  const kept = () => {
    if (!records) throw fail('RECORDS_OFF');
    return records;
  };

  const requireTurn = (): void => {
    if (runningCount >= LIMITS.recordsSearchesMax) throw fail('RECORDS_BUSY');
  };

  async function* strides(query: RecordsQuery): AsyncGenerator<RecordsStride> {
    const { stride } = kept();
    requireTurn();
    runningCount += 1;
    try {
      let { limit, beforeId } = query;
      do {
        const next = stride({ ...query, limit: Math.min(limit, STRIDE_FOUND_MAX), beforeId });
        limit -= next.found.length;
        beforeId = next.beforeId;
        yield next;
        await othersTurn();
      } while (limit > 0 && beforeId !== undefined);
    } finally {
      runningCount -= 1;
    }
  }

  return {
    isOn: records !== undefined,

    async page(query, isWanted) {
      const startMs = clock.elapsed();
      const found: FoundRecord[] = [];
      let beforeId: number | undefined;
      for await (const next of strides(query)) {
        found.push(...next.found);
        beforeId = next.beforeId;
        if (!isWanted() || clock.elapsed() - startMs > LIMITS.recordsSearchMs) break;
      }
      return { found, beforeId };
    },

    strides(query) {
      // Now, as an answer that has begun cannot be refused any more.
      kept();
      requireTurn();
      return foundIn(strides(query));
    },

    find(id) {
      const record = kept().find(id);
      if (!record) throw fail('RECORD_UNKNOWN');
      return record;
    },
  };
};

// A row that is found costs more than one that is looked at, and whoever asked does something with it.
const STRIDE_FOUND_MAX = 128;

async function* foundIn(strides: AsyncIterable<RecordsStride>): AsyncGenerator<readonly FoundRecord[]> {
  for await (const { found } of strides) yield found;
}

const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
