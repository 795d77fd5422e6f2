import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { createStanding } from '../../src/observe/standing.ts';
import type { Pulse } from '../../src/tunnel/tunnel.ts';

const INTERVAL_MS = 60_000;
const REFUSED = fail('DIAL_BACK_REFUSED');

const setUp = () => {
  const pulse: Pulse = { atMs: Number.NEGATIVE_INFINITY };
  return { pulse, standing: createStanding(pulse, INTERVAL_MS) };
};

describe('the standing of a tunnel', () => {
  test('is suspect as long as nothing is proved', () => {
    const { standing } = setUp();
    assert.equal(standing.stateAt(0), 'suspect');
    assert.equal(standing.proofMs, Number.NEGATIVE_INFINITY);
  });

  test('is online for two intervals after a probe, and suspect then', () => {
    const { standing } = setUp();
    standing.proved(1_000);
    assert.equal(standing.stateAt(1_000 + 2 * INTERVAL_MS), 'online');
    assert.equal(standing.stateAt(1_001 + 2 * INTERVAL_MS), 'suspect');
    assert.equal(standing.how, 'probe');
  });

  test('is online by traffic alone', () => {
    const { pulse, standing } = setUp();
    pulse.atMs = 500;
    assert.equal(standing.stateAt(600), 'online');
    assert.deepEqual([standing.how, standing.proofMs], ['traffic', 500]);
  });

  test('is suspect after one failure and two, down after three', () => {
    const { standing } = setUp();
    standing.proved(0);
    const states = [1, 2, 3, 4].map((atMs) => {
      standing.failed(atMs, REFUSED);
      return standing.stateAt(atMs);
    });
    assert.deepEqual(states, ['suspect', 'suspect', 'down', 'down']);
    assert.equal(standing.lastFailure?.atMs, 4);
  });

  for (const how of ['traffic', 'probe'] as const)
    test(`comes back from down by one proof (${how}), and counts failures anew`, () => {
      const { pulse, standing } = setUp();
      for (const atMs of [1, 2, 3]) standing.failed(atMs, REFUSED);
      if (how === 'probe') standing.proved(10);
      else pulse.atMs = 10;
      assert.equal(standing.stateAt(10), 'online');
      standing.failed(20, REFUSED);
      assert.deepEqual([standing.stateAt(20), standing.failureCount, standing.how], ['suspect', 1, how]);
    });
});
