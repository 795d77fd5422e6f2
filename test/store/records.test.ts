/** The file of records: capped, searched from the newest, readable by its owner alone. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { storedFrom } from '../../src/observe/stored-record.ts';
import { databaseBytes, openDatabase } from '../../src/store/database.ts';
import type { StoredRecord } from '../../src/store/record-row.ts';
import { openRecordsTable, RECORDS_MIGRATIONS } from '../../src/store/records.ts';
import { exchangeOf } from '../observe/traffic.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const NOW_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const EXAMPLE = storedFrom(exchangeOf(), NOW_MS, () => undefined);
const rows = (count: number, overrides: Partial<StoredRecord> = {}) =>
  new Array<StoredRecord>(count).fill({ ...EXAMPLE, ...overrides });

const open = (
  t: TestContext,
  { path = join(makeTemporaryDirectory(t), 'records.db'), countMax = 1_000 } = {},
) => {
  const table = openRecordsTable({ path, countMax, ageMsMax: 30 * DAY_MS });
  t.after(() => table.close());
  return { table, path };
};

test('what is appended is found as it was, with a number that grows, also in a file that is opened again', (t) => {
  const { table, path } = open(t);
  table.append(rows(2), NOW_MS);
  table.close();
  const again = open(t, { path });
  again.table.append(rows(1), NOW_MS);
  const found = again.table.search({ limit: 10 });
  assert.deepEqual(found[0], { ...EXAMPLE, id: 3 });
  assert.deepEqual(
    found.map(({ id }) => id),
    [3, 2, 1],
  );
});

test('a file of an earlier version keeps its rows, without what was not known then', (t) => {
  const path = join(makeTemporaryDirectory(t), 'records.db');
  const { offered_groups: _, ...known } = EXAMPLE;
  const names = Object.keys(known);
  const first = openDatabase({ path, mode: 'create', migrations: RECORDS_MIGRATIONS.slice(0, 1) });
  const values = names.map(() => '?').join(', ');
  first.use((connection) =>
    connection
      .prepare(`INSERT INTO records (${names.join(', ')}) VALUES (${values})`)
      .run(...Object.values(known)),
  );
  first.close();
  const { table } = open(t, { path });
  table.append(rows(1), NOW_MS);
  assert.deepEqual(table.search({ limit: 10 }), [
    { ...EXAMPLE, id: 2 },
    { ...known, offered_groups: null, id: 1 },
  ]);
});

test('the file is its owner’s alone', (t) => {
  const { table, path } = open(t);
  table.append(rows(1), NOW_MS);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(databaseBytes(path) > 0);
});

test('a file that another program keeps locked is an error soon, and not a wait', (t) => {
  const { table, path } = open(t);
  table.append(rows(1), NOW_MS);
  const other = openDatabase({ path, mode: 'open', migrations: RECORDS_MIGRATIONS });
  t.after(() => other.close());
  other.use((connection) => connection.exec('BEGIN IMMEDIATE'));
  const startMs = performance.now();
  assert.throws(() => table.append(rows(1), NOW_MS), { code: 'STORE_UNAVAILABLE', message: /locked/ });
  assert.ok(performance.now() - startMs < 1_000);
  other.use((connection) => connection.exec('ROLLBACK'));
  table.append(rows(1), NOW_MS);
  assert.equal(table.search({ limit: 10 }).length, 2);
});

describe('a search', () => {
  const start = (t: TestContext) => {
    const { table } = open(t);
    table.append(
      [
        { ...EXAMPLE, status: 200 },
        { ...EXAMPLE, status: 404, code: 'HOST_UNKNOWN', tunnel_id: null, host: 'other.t.localhost' },
        { ...EXAMPLE, status: 403, code: 'ADDRESS_FORBIDDEN', address: '198.51.100.7' },
      ],
      NOW_MS,
    );
    return (query: Parameters<typeof table.search>[0]) => table.search(query).map(({ id }) => id);
  };

  test('finds by host, status, code, address and tunnel, and by all of them at once', (t) => {
    const find = start(t);
    assert.deepEqual(find({ host: 'other.t.localhost', limit: 10 }), [2]);
    assert.deepEqual(find({ status: 200, limit: 10 }), [1]);
    assert.deepEqual(find({ code: 'ADDRESS_FORBIDDEN', limit: 10 }), [3]);
    assert.deepEqual(find({ address: '192.0.2.1', limit: 10 }), [2, 1]);
    assert.deepEqual(find({ tunnel: 'tun_1', limit: 10 }), [3, 1]);
    assert.deepEqual(find({ tunnel: 'tun_1', status: 403, limit: 10 }), [3]);
    assert.deepEqual(find({ host: "' OR 1=1 --", limit: 10 }), []);
  });

  test('goes on where it ended', (t) => {
    const find = start(t);
    assert.deepEqual(find({ limit: 2 }), [3, 2]);
    assert.deepEqual(find({ limit: 2, beforeId: 2 }), [1]);
  });
});

describe('the caps', () => {
  test('keep the newest rows', (t) => {
    const { table } = open(t, { countMax: 1_000 });
    for (let batch = 0; batch < 6; batch += 1) table.append(rows(256), NOW_MS);
    const found = table.search({ limit: LIMITS.recordsFoundMax });
    assert.deepEqual([found.length, found[0]?.id, found.at(-1)?.id], [1_000, 1_536, 537]);
  });

  test('remove what is too old, by when it ended', (t) => {
    const { table } = open(t);
    table.append([...rows(3), ...rows(1, { duration_ms: 20 * DAY_MS })], NOW_MS);
    table.append(rows(1, { at: NOW_MS + 31 * DAY_MS }), NOW_MS + 31 * DAY_MS);
    assert.deepEqual(
      table.search({ limit: 10 }).map(({ id }) => id),
      [5, 4],
    );
  });

  test('that were lowered are reached in steps, and give the space back', (t) => {
    const { table, path } = open(t, { countMax: 100_000 });
    for (let batch = 0; batch < 20; batch += 1) table.append(rows(256), NOW_MS);
    table.close();
    const bytesBefore = databaseBytes(path);
    const lowered = open(t, { path, countMax: 1_000 });
    const countAfterOne = () => {
      lowered.table.append(rows(1), NOW_MS);
      const [newest] = lowered.table.search({ limit: 1 });
      const found = lowered.table.search({ limit: 1, beforeId: (newest?.id ?? 0) - 1_000 });
      return found.length;
    };
    assert.equal(countAfterOne(), 1, 'not all at once');
    for (let step = 0; step < 5; step += 1) countAfterOne();
    assert.equal(countAfterOne(), 0);
    lowered.table.close();
    assert.ok(databaseBytes(path) < bytesBefore / 2);
  });
});

describe('a stride', () => {
  const START_MS = NOW_MS - 10_000 * 100;
  /** Ten thousand, one every hundred milliseconds; each tenth has failed. */
  const start = (t: TestContext) => {
    const { table } = open(t, { countMax: 20_000 });
    const all = rows(10_000).map((record, index) => ({
      ...record,
      at: START_MS + index * 100,
      duration_ms: 0,
      status: index % 10 === 0 ? 502 : 200,
      path: index === 5 ? '/100%_sure' : '/path',
    }));
    for (let from = 0; from < all.length; from += 1_000) table.append(all.slice(from, from + 1_000), NOW_MS);
    return table;
  };

  test('ends after so many rows, and the next goes on there', (t) => {
    const table = start(t);
    const first = table.stride({ text: 'nowhere', limit: 10 });
    assert.deepEqual(first, { found: [], beforeId: 10_001 - LIMITS.recordsScanRowsMax });
    let strides = 1;
    let from: number | undefined = first.beforeId;
    for (; from !== undefined; strides += 1)
      from = table.stride({ text: 'nowhere', limit: 10, beforeId: from }).beforeId;
    assert.equal(strides, Math.ceil(10_000 / LIMITS.recordsScanRowsMax));
  });

  test('goes on behind the last that it found, and misses none', (t) => {
    const table = start(t);
    const ids: number[] = [];
    let beforeId: number | undefined;
    do {
      const stride = table.stride({ statusClass: 5, limit: 7, ...(beforeId !== undefined && { beforeId }) });
      ids.push(...stride.found.map(({ id }) => id));
      beforeId = stride.beforeId;
    } while (beforeId !== undefined);
    assert.equal(ids.length, 1_000);
    assert.equal(new Set(ids).size, 1_000);
  });

  test('looks at the time that is asked for and at no other', (t) => {
    const table = start(t);
    const times = { fromMs: START_MS + 1_000, untilMs: START_MS + 1_500 };
    const { found, beforeId } = table.stride({ ...times, limit: 100 });
    assert.deepEqual([found.map(({ id }) => id), beforeId], [[15, 14, 13, 12, 11], undefined]);
    assert.deepEqual(table.stride({ fromMs: NOW_MS, limit: 1 }), { found: [], beforeId: undefined });
    assert.deepEqual(table.stride({ untilMs: START_MS, limit: 1 }), { found: [], beforeId: undefined });
  });

  test('takes a text as it is, not as a pattern', (t) => {
    const table = start(t);
    assert.equal(table.search({ text: '100%_SURE', limit: 10 }).length, 1);
    assert.equal(table.search({ text: '1%e', limit: 10 }).length, 0);
  });

  test('is as fast for a text that is almost everywhere', (t) => {
    const { table } = open(t, { countMax: 20_000 });
    // What a downstream can choose: it is compared from each of its characters on, and differs at the last.
    const text = 'a'.repeat(LIMITS.recordTextCharsMax);
    table.append(rows(LIMITS.recordsScanRowsMax, { path: text, user_agent: text }), NOW_MS);
    const startMs = performance.now();
    assert.deepEqual(table.stride({ text: `${'a'.repeat(199)}b`, limit: 10 }).found, []);
    assert.ok(performance.now() - startMs < 500, `${performance.now() - startMs} ms`);
  });
});
