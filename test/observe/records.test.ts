/** Records wait in a bounded queue, go to the disk in batches, and never in the way of what they are about. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createRecords } from '../../src/observe/records.ts';
import { openRecordsTable, type RecordsOptions, type RecordsTable } from '../../src/store/records.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { exchangeOf } from './traffic.ts';

const DAY_MS = 86_400_000;

const start = (
  t: TestContext,
  { path = join(makeTemporaryDirectory(t), 'records.db'), countMax = 100_000 } = {},
  open?: (options: RecordsOptions) => RecordsTable,
) => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const records = createRecords(
    { clock, log, countryOf: () => undefined, ...(open && { open }) },
    { path, countMax, ageMsMax: 30 * DAY_MS },
  );
  t.after(() => records.close());
  const keep = (count: number, record = exchangeOf()) => {
    for (let index = 0; index < count; index += 1) records.keep(record);
  };
  /** Lets every batch go. */
  const settle = () => {
    while (clock.pendingCount > 0) clock.advance(LIMITS.recordsFlushMs);
  };
  return { clock, log, records, keep, settle, path };
};

test('what is kept is found after its batch, the newest first, and no timer is left', (t) => {
  const { records, clock } = start(t);
  records.keep(exchangeOf({ status: 200 }));
  records.keep(exchangeOf({ status: 201 }));
  assert.deepEqual(records.search({ limit: 10 }), []);
  clock.advance(LIMITS.recordsFlushMs);
  assert.deepEqual(
    records.search({ limit: 10 }).map(({ status }) => status),
    [201, 200],
  );
  assert.equal(records.keptCount, 2);
  assert.equal(clock.pendingCount, 0);
});

test('closing writes what waits', (t) => {
  const { records, keep, path } = start(t);
  keep(LIMITS.recordsBatchMax + 1);
  records.close();
  const again = start(t, { path });
  assert.equal(again.records.search({ limit: LIMITS.recordsFoundMax }).length, LIMITS.recordsBatchMax + 1);
});

test('a closed one keeps nothing, and leaves no timer', (t) => {
  const { records, keep, clock } = start(t);
  records.close();
  keep(1);
  assert.equal(records.lostCount, 1);
  assert.equal(clock.pendingCount, 0);
  assert.throws(() => records.search({ limit: 1 }), { code: 'ENGINE_DRAINING' });
});

describe('more than fits in the queue', () => {
  test('is lost and counted, successes before failures', (t) => {
    const { records, keep, settle } = start(t);
    keep(LIMITS.recordsQueuedMax);
    const lostCount = LIMITS.recordsQueuedMax / 4;
    assert.equal(records.lostCount, lostCount);
    const failed = exchangeOf({ error: fail('UPSTREAM_CLOSED'), status: 502 });
    keep(lostCount, failed);
    assert.equal(records.lostCount, lostCount, 'there is room for failures');
    keep(1, failed);
    assert.equal(records.lostCount, lostCount + 1);
    settle();
    assert.equal(records.keptCount, LIMITS.recordsQueuedMax);
  });

  test('costs a bounded amount of work a second', (t) => {
    const { records, keep, clock } = start(t);
    keep(LIMITS.recordsQueuedMax);
    clock.advance(1_000);
    assert.equal(records.keptCount, (1_000 / LIMITS.recordsFlushMs) * LIMITS.recordsBatchMax);
  });
});

describe('a disk that fails', () => {
  test('is told of once, costs records alone, and is used again when it is back', (t) => {
    let isBroken = true;
    const { records, keep, clock, log } = start(t, {}, (options) => {
      const table = openRecordsTable(options);
      const append: RecordsTable['append'] = (...batch) => {
        if (isBroken) throw fail('STORE_UNAVAILABLE', { path: options.path, problem: 'the disk is full' });
        table.append(...batch);
      };
      return { ...table, append };
    });
    for (let round = 0; round < 3; round += 1) {
      keep(2);
      clock.advance(LIMITS.recordsRetryMs);
    }
    assert.equal(log.withCode('STORE_UNAVAILABLE').length, 1);
    assert.equal(records.lostCount, 6);
    isBroken = false;
    keep(1);
    clock.advance(LIMITS.recordsRetryMs);
    keep(1);
    clock.advance(LIMITS.recordsFlushMs);
    assert.equal(records.keptCount, 2);
    assert.equal(log.lines.at(-1)?.message, 'records are kept again');
  });

  test('is left alone for a while', (t) => {
    let openCount = 0;
    const { records, keep, clock } = start(t, {}, () => {
      openCount += 1;
      throw fail('STORE_UNAVAILABLE', { path: '', problem: 'it cannot be opened' });
    });
    for (let round = 0; round < 10; round += 1) {
      keep(1);
      clock.advance(LIMITS.recordsFlushMs);
    }
    assert.equal(openCount, 1);
    assert.equal(records.lostCount, 10);
  });
});

describe('a damaged file', () => {
  const NOTES = 'these are notes\n'.repeat(300);

  test('is set aside, told of, and a new one begun: no record is lost', (t) => {
    const path = join(makeTemporaryDirectory(t), 'records.db');
    writeFileSync(path, NOTES);
    writeFileSync(`${path}-wal`, 'a rest');
    const { records, keep, settle, log } = start(t, { path });
    keep(3);
    settle();
    assert.deepEqual([records.keptCount, records.lostCount], [3, 0]);
    assert.equal(records.search({ limit: 10 }).length, 3);
    assert.equal(readFileSync(`${path}.damaged`, 'utf8'), NOTES);
    assert.deepEqual(
      log.lines.map(({ message }) => message),
      ['damaged records were set aside'],
    );
  });

  test('is noticed also where its first page is sound', (t) => {
    const { records: earlier, keep: keepEarlier, path } = start(t);
    keepEarlier(LIMITS.recordsBatchMax);
    earlier.close();
    writeFileSync(path, readFileSync(path).fill(0x5a, 4_096));
    const { records, keep, settle } = start(t, { path });
    keep(1);
    settle();
    assert.deepEqual([records.keptCount, records.lostCount], [1, 0]);
    assert.ok(existsSync(`${path}.damaged`));
  });

  test('that is damaged again at once is a disk that fails, and is left alone for a while', (t) => {
    const path = join(makeTemporaryDirectory(t), 'records.db');
    let openCount = 0;
    const { records, keep, clock, log } = start(t, { path }, (options) => {
      openCount += 1;
      writeFileSync(path, NOTES);
      return openRecordsTable(options);
    });
    for (let round = 0; round < 10; round += 1) {
      keep(1);
      clock.advance(LIMITS.recordsFlushMs);
    }
    assert.deepEqual([openCount, records.lostCount], [2, 10]);
    assert.equal(log.withCode('STORE_UNAVAILABLE').length, 1);
  });
});
