/** Searches beside traffic: bounded in time and number, and gone with whoever asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createRecordsSearch } from '../../src/observe/records-search.ts';
import { createFakeClock } from '../support/clock.ts';

/** A table without an end, in which nothing fits. */
const start = (msPerStride = 0) => {
  const clock = createFakeClock();
  let strideCount = 0;
  const search = createRecordsSearch({
    clock,
    records: {
      stride: ({ beforeId = 1_000_000 }) => {
        strideCount += 1;
        clock.advance(msPerStride);
        return { found: [], beforeId: beforeId - 1 };
      },
      find: () => undefined,
    },
  });
  return { search, strides: () => strideCount };
};

test('a page ends with its time, and says where to go on', async () => {
  const { search, strides } = start(LIMITS.recordsSearchMs / 4);
  assert.deepEqual(await search.page({ limit: 10 }, () => true), { found: [], beforeId: 999_995 });
  assert.equal(strides(), 5);
});

test('nothing is searched for somebody who has left', async () => {
  const { search, strides } = start();
  await search.page({ limit: 10 }, () => false);
  assert.equal(strides(), 1);
  for await (const _ of search.strides({ limit: 10 })) break;
  assert.equal(strides(), 2);
});

test('there are only so many searches at once, and one that is over makes room', async () => {
  const { search } = start();
  const running = Array.from({ length: LIMITS.recordsSearchesMax }, () => search.strides({ limit: 1 }));
  for (const each of running) await each.next();
  assert.throws(() => search.strides({ limit: 1 }), { code: 'RECORDS_BUSY' });
  await running[0]?.return(undefined);
  await search.page({ limit: 1 }, () => false);
});

test('where no records are kept, and where there is no such record, that is said', async () => {
  const off = createRecordsSearch({ clock: createFakeClock(), records: undefined });
  assert.throws(() => off.strides({ limit: 1 }), { code: 'RECORDS_OFF' });
  await assert.rejects(
    off.page({ limit: 1 }, () => true),
    { code: 'RECORDS_OFF' },
  );
  assert.throws(() => start().search.find(7), { code: 'RECORD_UNKNOWN' });
});
