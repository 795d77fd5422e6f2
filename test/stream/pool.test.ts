import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { createSweep } from '../../src/base/time.ts';
import type { DialSource } from '../../src/stream/agent-stream.ts';
import { Pool, type Pooled, type PoolWaiter } from '../../src/stream/pool.ts';
import { createFakeClock } from '../support/clock.ts';

interface Item extends Pooled {
  readonly name: string;
  capacity: number;
  isRetired: boolean;
}

interface Dial {
  readonly source: DialSource;
  grant(name: string, capacity?: number): Promise<void>;
  refuse(error: EngineError): Promise<void>;
  readonly signal: AbortSignal;
}

const SOURCE = { address: '192.0.2.1' };

/** A pool whose dials are answered by the test, in any order. */
const setUp = ({
  availableCountMax = 10,
  lentCountMax = 100,
  warmCount = 0,
  expectedCapacity = 1,
  idleMs = 5_000,
} = {}) => {
  const clock = createFakeClock();
  const dials: Dial[] = [];
  const settled = () => new Promise<void>((done) => setImmediate(done));
  const makeItem = (name: string, capacity: number): Item => {
    const item: Item = {
      name,
      capacity,
      isRetired: false,
      lentCount: 0,
      idleSinceMs: 0,
      destroy: () => {
        item.isRetired = true;
        pool.retire(item);
      },
    };
    return item;
  };
  const pool: Pool<Item> = new Pool<Item>(
    {
      sweep: createSweep(clock, 1_000),
      open: (source, signal) =>
        new Promise((resolve, reject) => {
          dials.push({
            source,
            signal,
            grant: (name, capacity = 1) => {
              resolve(makeItem(name, capacity));
              return settled();
            },
            refuse: (error) => {
              reject(error);
              return settled();
            },
          });
        }),
    },
    { idleMs, availableCountMax, lentCountMax, warmCount, expectedCapacity },
  );
  const answers: string[] = [];
  const granted: Item[] = [];
  const waiter = (name: string): PoolWaiter<Item> => ({
    granted: (item) => {
      granted.push(item);
      answers.push(`${name} got ${item.name}`);
    },
    denied: (error) => void answers.push(`${name} was denied ${error.code}`),
  });
  /** An item that an exchange has. */
  const lent = async (name: string, capacity = 1): Promise<Item> => {
    pool.acquire(waiter(`owner of ${name}`), SOURCE);
    await dials.at(-1)?.grant(name, capacity);
    answers.length = 0;
    return granted.at(-1) as Item;
  };
  return { clock, pool, dials, answers, waiter, lent };
};

describe('waiters', () => {
  test('are served in their order, whichever dial comes first', async () => {
    const { pool, dials, answers, waiter } = setUp();
    pool.acquire(waiter('first'), SOURCE);
    pool.acquire(waiter('second'), SOURCE);
    await dials[1]?.grant('b');
    await dials[0]?.grant('a');
    assert.deepEqual(answers, ['first got b', 'second got a']);
  });

  test('are served by what is released, and the dials go on for the next of a busy tunnel', async () => {
    const { pool, dials, answers, waiter, lent } = setUp();
    const old = await lent('old');
    pool.acquire(waiter('one'), SOURCE);
    pool.release(old);
    assert.deepEqual(answers, ['one got old']);
    assert.equal(dials[1]?.signal.aborted, false);
    await dials[1]?.grant('new');
    assert.equal(pool.take()?.name, 'new');
  });

  test('are each dialled for in their own name', () => {
    const { pool, dials, waiter } = setUp();
    const sources = [{ address: '192.0.2.1', port: 1 }, { address: '2001:db8::1' }, { address: '192.0.2.1' }];
    for (const [index, source] of sources.entries()) pool.acquire(waiter(`${index}`), source);
    assert.deepEqual(
      dials.map(({ source }) => source),
      sources,
    );
  });

  test('share the fate of a dial that fails, as many as no other dial is under way for', async () => {
    const { pool, dials, answers, waiter } = setUp();
    pool.acquire(waiter('one'), SOURCE);
    pool.acquire(waiter('two'), SOURCE);
    await dials[0]?.refuse(fail('DIAL_BACK_TIMEOUT'));
    assert.deepEqual(answers, ['one was denied DIAL_BACK_TIMEOUT']);
    assert.equal(pool.waiterCount, 1);
  });

  test('are denied each with an error of its own, and all with the reason', async () => {
    const { pool, dials } = setUp({ expectedCapacity: 2 });
    const errors: EngineError[] = [];
    for (let count = 0; count < 2; count += 1)
      pool.acquire(
        { granted: () => assert.fail('there is no stream'), denied: (error) => errors.push(error) },
        SOURCE,
      );
    await dials[0]?.refuse(fail('UPSTREAM_TLS_FAILED', { reason: 'noise' }, new Error('the cause')));
    const [one, other] = errors;
    assert.notEqual(one?.errorId, other?.errorId);
    for (const error of errors) assert.match(String(error.cause), /the cause/);
  });

  test('hear nothing once they cancel, and their dial is called off', async () => {
    const { pool, dials, answers, waiter } = setUp();
    const one = waiter('one');
    pool.acquire(one, SOURCE);
    pool.cancel(one);
    assert.equal(dials[0]?.signal.aborted, true);
    assert.equal(pool.waiterCount, 0);
    await dials[0]?.refuse(fail('REQUEST_ABORTED'));
    assert.deepEqual(answers, []);
  });

  test('beyond the limit of exchanges are denied at once', async () => {
    const { pool, answers, waiter, lent } = setUp({ lentCountMax: 1 });
    await lent('only');
    pool.acquire(waiter('one'), SOURCE);
    assert.deepEqual(answers, ['one was denied REQUEST_LIMIT']);
  });
});

describe('streams', () => {
  test('that were used last are taken first', async () => {
    const { pool, lent } = setUp();
    const [cold, warm] = [await lent('cold'), await lent('warm')];
    pool.release(cold);
    pool.release(warm);
    assert.equal(pool.take()?.name, 'warm');
    assert.equal(pool.take()?.name, 'cold');
    assert.equal(pool.take(), undefined);
  });

  test('end when their idle time is over, younger ones stay', async () => {
    const { clock, pool, lent } = setUp();
    const [old, young] = [await lent('old'), await lent('young')];
    pool.release(old);
    clock.advance(3_000);
    pool.release(young);
    clock.advance(3_000);
    assert.deepEqual([old.isRetired, young.isRetired], [true, false]);
    assert.equal(pool.availableCount, 1);
  });

  test('beyond the limit end as soon as they are idle', async () => {
    const { pool, lent } = setUp({ availableCountMax: 1 });
    const [kept, surplus] = [await lent('kept'), await lent('surplus')];
    pool.release(kept);
    pool.release(surplus);
    assert.deepEqual([kept.isRetired, surplus.isRetired], [false, true]);
  });

  test('that are gone are not handed out', async () => {
    const { pool, lent } = setUp();
    const dead = await lent('dead');
    pool.release(dead);
    dead.destroy();
    assert.equal(pool.take(), undefined);
    const lost = await lent('lost');
    lost.isRetired = true;
    pool.lose(lost);
    assert.equal(pool.take(), undefined);
  });
});

describe('a session with room for several exchanges', () => {
  test('serves all who wait, and is taken until it is full', async () => {
    const { pool, dials, answers, waiter } = setUp();
    for (const name of ['one', 'two']) pool.acquire(waiter(name), SOURCE);
    await dials[0]?.grant('session', 3);
    assert.deepEqual(answers, ['one got session', 'two got session']);
    assert.equal(pool.take()?.name, 'session');
    assert.equal(pool.take(), undefined);
  });

  test('has room again when one exchange is over, and is idle after the last', async () => {
    const { clock, pool, lent } = setUp();
    const session = await lent('session', 2);
    pool.take();
    pool.release(session);
    clock.advance(60_000);
    assert.equal(session.isRetired, false);
    pool.release(session);
    clock.advance(6_000);
    assert.equal(session.isRetired, true);
  });

  test('that is expected makes one dial do for all who wait, and disappoints them together', async () => {
    const { pool, dials, answers, waiter } = setUp({ expectedCapacity: 100 });
    for (const name of ['one', 'two', 'three']) pool.acquire(waiter(name), SOURCE);
    assert.equal(dials.length, 1);
    await dials[0]?.refuse(fail('DIAL_BACK_REFUSED'));
    assert.equal(answers.length, 3);
  });

  test('that was expected in vain is made up for by more dials', async () => {
    const { pool, dials, answers, waiter } = setUp({ expectedCapacity: 100 });
    for (const name of ['one', 'two', 'three']) pool.acquire(waiter(name), SOURCE);
    await dials[0]?.grant('a', 1);
    assert.deepEqual(answers, ['one got a']);
    assert.equal(dials.length, 3);
  });

  test('serves one exchange where it allows none, instead of dialling on and on', async () => {
    const { pool, dials, answers, waiter } = setUp();
    for (const name of ['one', 'two']) pool.acquire(waiter(name), SOURCE);
    await dials[0]?.grant('a', 0);
    assert.deepEqual(answers, ['one got a']);
    assert.equal(dials.length, 2);
  });

  test('is taken again after its room has changed while it was full', async () => {
    for (const [from, to] of [
      [2, 4],
      [4, 2],
    ] as const) {
      const { clock, pool, lent } = setUp();
      const session = await lent('session', from);
      for (let count = 1; count < from; count += 1) pool.take();
      assert.equal(pool.take(), undefined);
      session.capacity = to;
      for (let count = 0; count < from; count += 1) pool.release(session);
      assert.equal(pool.availableCount, 1);
      clock.advance(6_000);
      assert.equal(session.isRetired, true, 'it ends as an idle one');
    }
  });

  test('makes one dial do for as many waiters', async () => {
    const { pool, dials, waiter, lent } = setUp();
    await lent('full', 2);
    pool.take();
    for (const name of ['one', 'two']) pool.acquire(waiter(name), SOURCE);
    assert.equal(dials.length, 2);
  });
});

describe('a probe', () => {
  test('borrows what an exchange has used, counts as none, and leaves it as old as it was', async () => {
    const { clock, pool, lent } = setUp({ lentCountMax: 1, idleMs: 5_000 });
    const item = await lent('old', 2);
    pool.release(item);
    clock.advance(3_000);
    const borrowed = pool.borrow();
    assert.equal(borrowed?.item.name, 'old');
    assert.equal(pool.take()?.name, 'old', 'the limit of one is still free');
    assert.equal(pool.take(), undefined);
    pool.release(item);
    pool.release(item);
    borrowed?.done();
    clock.advance(3_000);
    assert.equal(item.isRetired, true, 'its age is that of the last exchange');
    assert.equal(pool.borrow(), undefined);
  });

  test('takes nothing that was dialled ahead, and has nothing dialled', async () => {
    const { pool, dials, lent } = setUp({ warmCount: 1 });
    for (let count = 0; count < 4; count += 1) await lent(`${count}`);
    // The last of the four was served by the newer of two dials.
    await dials[3]?.grant('warm');
    const dialCount = dials.length;
    assert.equal(pool.borrow(), undefined);
    assert.equal(dials.length, dialCount);
    assert.equal(pool.take()?.name, 'warm');
  });
});

describe('a busy tunnel', () => {
  test('keeps streams warm, takes them in their order and replaces them', async () => {
    const { pool, dials, lent } = setUp({ warmCount: 2 });
    for (const name of ['one', 'two', 'three']) await lent(name);
    assert.equal(dials.length, 3);
    await lent('four');
    assert.equal(dials.length, 6);
    await dials[3]?.grant('warm 1');
    await dials[4]?.grant('warm 2');
    assert.equal(pool.take()?.name, 'warm 1');
    assert.equal(dials.length, 7);
    assert.equal(pool.take()?.name, 'warm 2');
    assert.equal(dials.length, 8);
  });

  test('stays busy as long as fresh streams are taken, though nobody has to wait', async () => {
    const { clock, pool, dials, lent } = setUp({ warmCount: 1 });
    for (let count = 0; count < 4; count += 1) await lent(`${count}`);
    // The last of the four was served by the newer of two dials.
    let warm = dials[3];
    for (let count = 5; count < 25; count += 1) {
      await warm?.grant('warm');
      clock.advance(1_000);
      assert.equal(pool.take()?.name, 'warm');
      assert.equal(dials.length, count + 1);
      warm = dials.at(-1);
    }
  });

  test('whose streams are used again and again needs no fresh ones, and keeps none', async () => {
    const { clock, pool, dials, lent } = setUp({ warmCount: 1, idleMs: 60_000 });
    let item = await lent('0');
    for (let count = 1; count < 4; count += 1) item = await lent(`${count}`);
    await dials[4]?.grant('warm');
    pool.release(item);
    for (let second = 0; second < 12; second += 1) {
      assert.equal(pool.take()?.name, '3');
      pool.release(item);
      clock.advance(1_000);
    }
    assert.equal(pool.availableCount, 1, 'the warm one was never used, and is gone');
    assert.equal(dials.length, 5);
  });

  test('does so no longer when it is quiet again', async () => {
    const { clock, pool, dials, lent } = setUp({ warmCount: 2 });
    const first = await lent('first');
    for (const name of ['two', 'three', 'four']) await lent(name);
    for (const dial of dials.slice(3)) await dial.grant('warm');
    clock.advance(20_000);
    pool.release(first);
    const dialCount = dials.length;
    pool.take();
    assert.equal(dials.length, dialCount);
  });
});

test('closing ends what is idle, denies who waits, calls off what is dialled and leaves no timer', async () => {
  const { clock, pool, dials, answers, waiter, lent } = setUp();
  const [idle, busy] = [await lent('idle'), await lent('busy')];
  pool.release(idle);
  pool.take();
  pool.release(idle);
  pool.acquire(waiter('one'), SOURCE);
  pool.close(fail('AGENT_GONE'));
  assert.equal(idle.isRetired, true);
  assert.deepEqual(answers, ['one was denied AGENT_GONE']);
  assert.equal(dials.at(-1)?.signal.aborted, true);
  assert.equal(clock.pendingCount, 0);
  pool.release(busy);
  assert.equal(busy.isRetired, true);
  pool.acquire(waiter('late'), SOURCE);
  assert.equal(answers.at(-1), 'late was denied AGENT_GONE');
});
