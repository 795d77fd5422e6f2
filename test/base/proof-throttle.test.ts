import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createProofThrottle } from '../../src/base/proof-throttle.ts';
import { createFakeClock } from '../support/clock.ts';

const MALLORY = '198.51.100.7';
const ALICE = '192.0.2.1';

const setUp = (exempt: readonly string[] = []) => {
  const clock = createFakeClock();
  const throttle = createProofThrottle({ clock, isExempt: (address) => exempt.includes(address) });
  const countBad = (address: string, times: number) => {
    for (let count = 0; count < times; count += 1) throttle.countBad(address);
  };
  return { clock, throttle, countBad };
};

test('a source pauses after so many bad proofs, longer with each further one, and no longer than the longest pause', () => {
  const { clock, throttle, countBad } = setUp();
  countBad(MALLORY, LIMITS.badProofsMax - 1);
  assert.equal(throttle.refusalOf(MALLORY), undefined);
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    countBad(MALLORY, 1);
    const refusal = throttle.refusalOf(MALLORY);
    assert.equal(refusal?.code, 'AUTHENTICATION_THROTTLED');
    assert.equal(refusal.details.retrySeconds, seconds);
    assert.equal(throttle.refusalOf(ALICE), undefined, 'nobody else pauses');
    clock.advance(seconds * 1_000 - 1);
    assert.equal(throttle.refusalOf(MALLORY)?.details.retrySeconds, 1);
    clock.advance(1);
    assert.equal(throttle.refusalOf(MALLORY), undefined);
  }
  clock.advance(LIMITS.badProofsForgetMs);
  countBad(MALLORY, LIMITS.badProofsMax - 1);
  assert.equal(throttle.refusalOf(MALLORY), undefined, 'it begins anew');
});

test('an IPv6 source is its /64', () => {
  const { throttle, countBad } = setUp();
  countBad('2001:db8:0:1::1', LIMITS.badProofsMax);
  assert.ok(throttle.refusalOf('2001:db8:0:1:ffff::9'));
  assert.equal(throttle.refusalOf('2001:db8:0:2::1'), undefined);
});

test('an exempt source is never refused', () => {
  const { throttle, countBad } = setUp([MALLORY]);
  countBad(MALLORY, 5 * LIMITS.badProofsMax);
  assert.equal(throttle.refusalOf(MALLORY), undefined);
});

test('badProofSourcesMax: the source that was bad longest ago yields, and what is over is forgotten in passing', () => {
  const { clock, throttle, countBad } = setUp();
  const addressOf = (number: number) => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
  countBad(MALLORY, LIMITS.badProofsMax);
  for (let number = 0; number < LIMITS.badProofSourcesMax; number += 1) countBad(addressOf(number), 1);
  assert.equal(throttle.count, LIMITS.badProofSourcesMax);
  assert.equal(throttle.refusalOf(MALLORY), undefined);
  clock.advance(LIMITS.badProofsForgetMs);
  countBad(ALICE, 1);
  assert.equal(throttle.count, LIMITS.badProofSourcesMax - 1);
});
