import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createSourceLimits, type SourcePlace } from '../../src/socket/source-limits.ts';
import { createFakeClock } from '../support/clock.ts';

const BURST_MS = LIMITS.sourceBurstSeconds * 1_000;

const setUp = ({ connectionsPerSource = 0, ratePerSource = 0, exempt = [] as string[] } = {}) => {
  const clock = createFakeClock();
  const isExempt = (address: string) => exempt.includes(address);
  const sources = createSourceLimits({ clock, isExempt }, { connectionsPerSource, ratePerSource });
  /** A place, or the reason why there is none. */
  const take = (address: string): SourcePlace | string => {
    const answer = sources.take(address);
    return 'reason' in answer ? answer.reason : answer;
  };
  const mustTake = (address: string): SourcePlace => {
    const answer = take(address);
    assert.ok(typeof answer !== 'string', `${address}: ${answer}`);
    return answer;
  };
  return { clock, sources, take, mustTake };
};

describe('connections at once', () => {
  test('a source has so many, and another when one of them closes', () => {
    const { take, mustTake } = setUp({ connectionsPerSource: 2 });
    const first = mustTake('192.0.2.1');
    mustTake('192.0.2.1');
    assert.equal(take('192.0.2.1'), 'SOURCE_CONNECTION_LIMIT');
    mustTake('192.0.2.2');
    first.release();
    mustTake('192.0.2.1');
    assert.equal(take('192.0.2.1'), 'SOURCE_CONNECTION_LIMIT');
  });

  test('the addresses of an IPv6 /64 are one source', () => {
    const { take, mustTake } = setUp({ connectionsPerSource: 1 });
    mustTake('2001:db8::1');
    assert.equal(take('2001:db8::2'), 'SOURCE_CONNECTION_LIMIT');
    mustTake('2001:db8:0:1::1');
  });

  test('the refusal tells the limit', () => {
    const { sources } = setUp({ connectionsPerSource: 1 });
    sources.take('192.0.2.1');
    assert.deepEqual(sources.take('192.0.2.1'), { reason: 'SOURCE_CONNECTION_LIMIT', limit: 1 });
  });

  test('without a rate, a source is forgotten when its last connection has closed', () => {
    const { sources, mustTake } = setUp({ connectionsPerSource: 2 });
    const places = [mustTake('192.0.2.1'), mustTake('192.0.2.1'), mustTake('192.0.2.2')];
    assert.equal(sources.count, 2);
    for (const place of places) place.release();
    mustTake('192.0.2.3').release();
    assert.equal(sources.count, 1);
  });
});

describe('connections a second', () => {
  const RATE = 2;
  const burst = (mustTake: (address: string) => SourcePlace, address: string) => {
    for (let count = 0; count < RATE * LIMITS.sourceBurstSeconds; count++) mustTake(address).release();
  };

  test('a source may open a burst at once, and then as many a second as the rate says', () => {
    const { clock, take, mustTake } = setUp({ ratePerSource: RATE });
    burst(mustTake, '192.0.2.1');
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
    mustTake('192.0.2.2');
    clock.advance(1_000 / RATE - 1);
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
    clock.advance(1);
    mustTake('192.0.2.1');
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
  });

  test('what was refused costs nothing, so a client that keeps trying gets in', () => {
    const { clock, take, mustTake } = setUp({ ratePerSource: RATE });
    burst(mustTake, '192.0.2.1');
    for (let count = 0; count < 100; count++) take('192.0.2.1');
    clock.advance(1_000 / RATE);
    mustTake('192.0.2.1');
  });

  test('a source that was quiet for long has one burst, not more', () => {
    const { clock, take, mustTake } = setUp({ ratePerSource: RATE });
    burst(mustTake, '192.0.2.1');
    clock.advance(100 * BURST_MS);
    burst(mustTake, '192.0.2.1');
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
  });

  test('closing and coming back does not fill the bucket', () => {
    const { clock, take, mustTake } = setUp({ ratePerSource: RATE });
    burst(mustTake, '192.0.2.1');
    clock.advance(400);
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
    mustTake('192.0.2.9').release();
    assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
  });
});

test('a source that is exempt is counted and never refused, also once it is no more exempt', () => {
  const exempt = ['192.0.2.1'];
  const { take, mustTake } = setUp({ connectionsPerSource: 2, ratePerSource: 1, exempt });
  const places = Array.from({ length: 100 }, () => mustTake('192.0.2.1'));
  exempt.length = 0;
  assert.equal(take('192.0.2.1'), 'SOURCE_CONNECTION_LIMIT');
  for (const place of places) place.release();
  assert.equal(take('192.0.2.1'), 'SOURCE_RATE_LIMIT');
});

describe('the table', () => {
  test('forgets a source that has been idle for a whole burst, and no sooner', () => {
    const { clock, sources, mustTake } = setUp({ ratePerSource: 1 });
    mustTake('192.0.2.1').release();
    clock.advance(BURST_MS - 1);
    const place = mustTake('192.0.2.2');
    assert.equal(sources.count, 2);
    clock.advance(1);
    mustTake('192.0.2.3').release();
    assert.equal(sources.count, 2, 'the first is gone, the second has a connection');
    place.release();
    clock.advance(BURST_MS);
    mustTake('192.0.2.4');
    assert.equal(sources.count, 1);
  });

  test('is bounded against an attacker with many addresses, who locks out nobody', () => {
    const { sources, take, mustTake } = setUp({ connectionsPerSource: 1, ratePerSource: 1 });
    const held = mustTake('192.0.2.1');
    for (let count = 0; count < 2 * LIMITS.idleSourcesMax; count++)
      mustTake(`2001:db8:${(count >> 16).toString(16)}:${(count & 0xffff).toString(16)}::1`).release();
    assert.equal(sources.count, LIMITS.idleSourcesMax + 1);
    assert.equal(take('192.0.2.1'), 'SOURCE_CONNECTION_LIMIT', 'who has connections is remembered');
    held.release();
    mustTake('192.0.2.2');
  });

  test('is a limit for nobody where both are off', () => {
    const { sources, mustTake } = setUp();
    const places = Array.from({ length: 1_000 }, () => mustTake('192.0.2.1'));
    for (const place of places) place.release();
    mustTake('192.0.2.2');
    assert.equal(sources.count, 1);
  });
});
