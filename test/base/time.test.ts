import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Clock,
  createBackoff,
  createClock,
  createSweep,
  every,
  fullJitterMs,
  inBackground,
  pause,
  type Timer,
} from '../../src/base/time.ts';
import { createFakeClock } from '../support/clock.ts';

const fires = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    // The clock's timers do not keep a process alive, and here nothing else does.
    const hold = setInterval(() => {}, 1_000);
    clock.after(ms, () => {
      clearInterval(hold);
      resolve();
    });
  });

describe('the clock of the system', () => {
  test('calls once after the time, and counts what is pending until then', async () => {
    const clock = createClock();
    const startedMs = clock.elapsed();
    const fired = fires(clock, 5);
    assert.equal(clock.pendingCount, 1);
    await fired;
    assert.equal(clock.pendingCount, 0);
    assert.ok(clock.elapsed() - startedMs >= 4);
  });

  test('forgets what is cancelled, however often', async () => {
    const clock = createClock();
    const timer = clock.after(0, () => assert.fail('it was cancelled'));
    timer.cancel();
    timer.cancel();
    assert.equal(clock.pendingCount, 0);
    await fires(clock, 2);
  });

  test('does not revive a timer that fired', async () => {
    const clock = createClock();
    let count = 0;
    const timer = clock.after(0, () => {
      count += 1;
    });
    await fires(clock, 1);
    timer.refresh();
    timer.cancel();
    await fires(clock, 2);
    assert.equal(count, 1);
    assert.equal(clock.pendingCount, 0);
  });

  test('does not fire at once when the time is longer than the system can wait', async () => {
    const clock = createClock();
    const timer = clock.after(2 ** 31 + 1, () => assert.fail('25 days are not over'));
    await fires(clock, 3);
    timer.cancel();
  });

  test('shows the date and a time that never jumps', () => {
    const clock = createClock();
    assert.ok(Math.abs(clock.now() - Date.now()) < 1_000);
    const first = clock.elapsed();
    assert.ok(clock.elapsed() >= first);
  });
});

describe('every', () => {
  test('calls once per period until it is cancelled', () => {
    const clock = createFakeClock();
    let count = 0;
    const timer = every(clock, 100, () => {
      count += 1;
    });
    clock.advance(99);
    assert.equal(count, 0);
    clock.advance(1);
    clock.advance(250);
    assert.equal(count, 3);
    timer.cancel();
    clock.advance(1_000);
    assert.equal(count, 3);
    assert.equal(clock.pendingCount, 0);
  });

  test('may be cancelled by its own call', () => {
    const clock = createFakeClock();
    let count = 0;
    const timer: Timer = every(clock, 100, () => {
      count += 1;
      timer.cancel();
    });
    clock.advance(1_000);
    assert.equal(count, 1);
    assert.equal(clock.pendingCount, 0);
  });

  test('begins its period again when it is refreshed', () => {
    const clock = createFakeClock();
    let count = 0;
    const timer = every(clock, 100, () => {
      count += 1;
    });
    clock.advance(60);
    timer.refresh();
    clock.advance(60);
    assert.equal(count, 0);
    clock.advance(40);
    assert.equal(count, 1);
    timer.cancel();
  });
});

describe('a pause', () => {
  test('ends after its time', async () => {
    const clock = createFakeClock();
    const paused = pause(clock, 100);
    clock.advance(100);
    await paused;
    assert.equal(clock.pendingCount, 0);
  });

  test('ends at once when its signal aborts, and leaves no timer', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const paused = pause(clock, 100, stop.signal);
    stop.abort();
    await paused;
    assert.equal(clock.pendingCount, 0);
  });

  test('does not begin when its signal has aborted already', async () => {
    const clock = createFakeClock();
    await pause(clock, 100, AbortSignal.abort());
    assert.equal(clock.pendingCount, 0);
  });
});

describe('a backoff', () => {
  test('doubles up to its longest time, and begins again after a success', () => {
    const backoff = createBackoff(1_000, 30_000, () => 1);
    const times = Array.from({ length: 7 }, () => backoff.nextMs());
    assert.deepEqual(times, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    backoff.reset();
    assert.equal(backoff.nextMs(), 1_000);
  });

  test('spreads a fleet over the second half of each time', () => {
    const least = createBackoff(1_000, 30_000, () => 0);
    assert.deepEqual([least.nextMs(), least.nextMs()], [500, 1_000]);
    const times = Array.from({ length: 500 }, () => createBackoff(1_000, 30_000).nextMs());
    assert.ok(times.every((ms) => ms >= 500 && ms <= 1_000));
    assert.ok(Math.max(...times) - Math.min(...times) > 250, 'they are all the same');
  });

  test('stays finite after any number of attempts', () => {
    const backoff = createBackoff(1_000, 30_000, () => 1);
    for (let attempt = 0; attempt < 2_000; attempt++) backoff.nextMs();
    assert.equal(backoff.nextMs(), 30_000);
  });
});

test('a fault in the background is told', async () => {
  const fault = new Error('nobody awaits me');
  const told = await new Promise((resolve) => inBackground(Promise.reject(fault), resolve));
  assert.equal(told, fault);
});

describe('a sweep', () => {
  const item = () => {
    const seen: number[] = [];
    return { seen, checkDeadline: (nowMs: number) => void seen.push(nowMs) };
  };

  test('looks at every item once per period, by one timer', () => {
    const clock = createFakeClock();
    const sweep = createSweep(clock, 1_000);
    const items = [item(), item(), item()];
    for (const each of items) sweep.add(each);
    assert.equal(clock.pendingCount, 1);
    clock.advance(2_500);
    for (const { seen } of items) assert.deepEqual(seen, [0, 1_000]);
    assert.equal(sweep.nowMs, 2_000);
    for (const each of items) sweep.remove(each);
  });

  test('never makes a wait look longer than it is', () => {
    const clock = createFakeClock();
    const sweep = createSweep(clock, 1_000);
    const other = item();
    sweep.add(other);
    clock.advance(1_900);
    let waitedMs = 0;
    const startedMs = sweep.nowMs;
    const waiting = {
      checkDeadline(nowMs: number) {
        waitedMs = nowMs - startedMs;
      },
    };
    sweep.add(waiting);
    clock.advance(100);
    assert.equal(waitedMs, 0);
    clock.advance(1_000);
    assert.ok(waitedMs <= 1_100);
    sweep.remove(waiting);
    sweep.remove(other);
  });

  test('has no timer while there is nothing to look at', () => {
    const clock = createFakeClock();
    const sweep = createSweep(clock, 1_000);
    const [one, other] = [item(), item()];
    sweep.add(one);
    sweep.add(other);
    sweep.remove(one);
    assert.equal(clock.pendingCount, 1);
    sweep.remove(other);
    sweep.remove(other);
    assert.equal(clock.pendingCount, 0);
    clock.advance(5_000);
    sweep.add(one);
    assert.equal(sweep.nowMs, 5_000, 'the time after a rest is not that of before');
    clock.advance(1_000);
    assert.deepEqual(one.seen, [5_000]);
    sweep.remove(one);
  });

  test('copes with items that leave, or let others leave, while it looks', () => {
    const clock = createFakeClock();
    const sweep = createSweep(clock, 1_000);
    const victim = item();
    const leaver = {
      checkDeadline() {
        sweep.remove(leaver);
        sweep.remove(victim);
      },
    };
    sweep.add(leaver);
    sweep.add(victim);
    clock.advance(3_000);
    assert.deepEqual(victim.seen, []);
    assert.equal(clock.pendingCount, 0);
  });

  test('stays one timer when an item leaves and another comes while it looks', () => {
    const clock = createFakeClock();
    const sweep = createSweep(clock, 1_000);
    const next = item();
    const first = {
      checkDeadline() {
        sweep.remove(first);
        sweep.add(next);
      },
    };
    sweep.add(first);
    clock.advance(1_000);
    assert.equal(clock.pendingCount, 1);
    clock.advance(1_000);
    assert.deepEqual(next.seen, [1_000, 1_000]);
    sweep.remove(next);
    assert.equal(clock.pendingCount, 0);
  });
});

test('full jitter draws between nothing and a bound that doubles by every failure but the first', () => {
  const boundAfter = (failureCount: number) => fullJitterMs(failureCount, 1_000, 60_000, () => 1);
  assert.deepEqual([1, 2, 3, 7, 1_000].map(boundAfter), [1_000, 2_000, 4_000, 60_000, 60_000]);
  assert.equal(
    fullJitterMs(9, 1_000, 60_000, () => 0),
    0,
  );
});
