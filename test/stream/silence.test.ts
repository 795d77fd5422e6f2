import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSilenceWatch } from '../../src/stream/silence.ts';
import { createFakeClock } from '../support/clock.ts';

const start = () => {
  const clock = createFakeClock();
  let callCount = 0;
  const watch = createSilenceWatch(clock, 1_000, () => {
    callCount += 1;
  });
  return { clock, watch, calls: () => callCount };
};

test('silence is noticed once, exactly at its limit', () => {
  const { clock, calls } = start();
  clock.advance(999);
  assert.equal(calls(), 0);
  clock.advance(1);
  assert.equal(calls(), 1);
  clock.advance(10_000);
  assert.equal(calls(), 1);
  assert.equal(clock.pendingCount, 0);
});

test('a touch starts the limit again and costs no timer', () => {
  const { clock, watch, calls } = start();
  for (let round = 0; round < 10; round += 1) {
    clock.advance(700);
    watch.touch();
    assert.equal(clock.pendingCount, 1);
  }
  assert.equal(watch.silentMs, 0);
  clock.advance(999);
  assert.equal(watch.silentMs, 999);
  assert.equal(calls(), 0);
  clock.advance(1);
  assert.equal(calls(), 1);
});

test('a cancelled watch is over', () => {
  const { clock, watch, calls } = start();
  watch.cancel();
  watch.cancel();
  clock.advance(10_000);
  assert.equal(calls(), 0);
  assert.equal(clock.pendingCount, 0);
});
