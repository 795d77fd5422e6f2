import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { createSweep } from '../../src/base/time.ts';
import type { AgentStream } from '../../src/stream/agent-stream.ts';
import { Pool, type Pooled, type PoolWaiter } from '../../src/stream/pool.ts';
import { createFakeClock } from '../support/clock.ts';

interface Item extends Pooled {
  readonly name: string;
  isDestroyed: boolean;
}

const SOURCE = { address: '192.0.2.1' };

/** A pool whose dials are answered by the test, in any order. */
const setUp = ({ idleCountMax = 10 } = {}) => {
  const clock = createFakeClock();
  const sweep = createSweep(clock, 1_000);
  const dials: {
    grant(name: string): Promise<void>;
    refuse(error: EngineError): Promise<void>;
    signal: AbortSignal;
  }[] = [];
  const pool = new Pool<Item>(
    {
      sweep,
      dial: (_source, signal) =>
        new Promise((resolve, reject) => {
          const settled = () => new Promise<void>((done) => setImmediate(done));
          dials.push({
            signal,
            grant: (name) => {
              resolve({ id: name } as unknown as AgentStream);
              return settled();
            },
            refuse: (error) => {
              reject(error);
              return settled();
            },
          });
        }),
      wrap: (stream) => {
        const item: Item = {
          name: stream.id,
          idleSinceMs: 0,
          isDestroyed: false,
          destroy: () => (item.isDestroyed = true),
        };
        return item;
      },
    },
    { idleMs: 5_000, idleCountMax },
  );
  const answers: string[] = [];
  const waiter = (name: string): PoolWaiter<Item> => ({
    granted: (item) => answers.push(`${name} got ${item.name}`),
    denied: (error) => answers.push(`${name} was denied ${error.code}`),
  });
  const item = (name: string): Item => {
    const made: Item = { name, idleSinceMs: 0, isDestroyed: false, destroy: () => (made.isDestroyed = true) };
    return made;
  };
  return { clock, pool, dials, answers, waiter, item };
};

test('waiters are served in their order, whichever dial comes first', async () => {
  const { pool, dials, answers, waiter } = setUp();
  pool.acquire(waiter('first'), SOURCE);
  pool.acquire(waiter('second'), SOURCE);
  await dials[1]?.grant('b');
  await dials[0]?.grant('a');
  assert.deepEqual(answers, ['first got b', 'second got a']);
});

test('a released stream serves a waiter, and the dial goes on for the next of a busy tunnel', async () => {
  const { pool, dials, answers, waiter, item } = setUp();
  pool.acquire(waiter('one'), SOURCE);
  pool.release(item('old'));
  assert.deepEqual(answers, ['one got old']);
  assert.equal(dials[0]?.signal.aborted, false);
  await dials[0]?.grant('new');
  assert.equal(pool.take()?.name, 'new');
});

test('a dial that fails denies one waiter with its reason', async () => {
  const { pool, dials, answers, waiter } = setUp();
  pool.acquire(waiter('one'), SOURCE);
  pool.acquire(waiter('two'), SOURCE);
  await dials[0]?.refuse(fail('DIAL_BACK_TIMEOUT'));
  assert.deepEqual(answers, ['one was denied DIAL_BACK_TIMEOUT']);
  assert.equal(pool.waiterCount, 1);
});

test('a dial that fails denies the one that it was for, not the one that waits longest', async () => {
  const { pool, dials, answers, waiter } = setUp();
  pool.acquire(waiter('one'), SOURCE);
  pool.acquire(waiter('two'), SOURCE);
  await dials[1]?.refuse(fail('DIAL_QUEUE_FULL'));
  assert.deepEqual(answers, ['two was denied DIAL_QUEUE_FULL']);
});

test('a dial that fails after its waiter was served by another denies one that is left without', async () => {
  const { pool, dials, answers, waiter } = setUp();
  pool.acquire(waiter('one'), SOURCE);
  pool.acquire(waiter('two'), SOURCE);
  await dials[1]?.grant('b');
  await dials[0]?.refuse(fail('DIAL_BACK_TIMEOUT'));
  assert.deepEqual(answers, ['one got b', 'two was denied DIAL_BACK_TIMEOUT']);
});

test('a dial that fails denies nobody while there is another for everyone who waits', async () => {
  const { pool, dials, answers, waiter, item } = setUp();
  pool.acquire(waiter('one'), SOURCE);
  pool.release(item('old'));
  pool.acquire(waiter('two'), SOURCE);
  await dials[0]?.refuse(fail('DIAL_BACK_TIMEOUT'));
  await dials[1]?.grant('b');
  assert.deepEqual(answers, ['one got old', 'two got b']);
});

test('every dial that nobody waits for is called off, also when others were before', async () => {
  const { pool, dials, waiter } = setUp();
  const [one, two] = [waiter('one'), waiter('two')];
  pool.acquire(one, SOURCE);
  pool.acquire(two, SOURCE);
  pool.cancel(two);
  await dials[1]?.refuse(fail('REQUEST_ABORTED'));
  pool.cancel(one);
  assert.deepEqual(
    dials.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test('who asks a closed pool is denied at once', () => {
  const { pool, dials, answers, waiter } = setUp();
  pool.close(fail('AGENT_GONE'));
  pool.acquire(waiter('late'), SOURCE);
  assert.deepEqual(answers, ['late was denied AGENT_GONE']);
  assert.equal(dials.length, 0);
});

test('a waiter that cancels hears nothing, and its dial is called off', async () => {
  const { pool, dials, answers, waiter } = setUp();
  const one = waiter('one');
  pool.acquire(one, SOURCE);
  pool.cancel(one);
  assert.equal(dials[0]?.signal.aborted, true);
  assert.equal(pool.waiterCount, 0);
  assert.deepEqual(answers, []);
});

test('the stream that was used last is taken first', () => {
  const { pool, item } = setUp();
  pool.release(item('cold'));
  pool.release(item('warm'));
  assert.equal(pool.take()?.name, 'warm');
  assert.equal(pool.take()?.name, 'cold');
  assert.equal(pool.take(), undefined);
});

test('an idle stream ends when its time is over, a younger one stays', () => {
  const { clock, pool, item } = setUp();
  const [old, young] = [item('old'), item('young')];
  pool.release(old);
  clock.advance(3_000);
  pool.release(young);
  clock.advance(3_000);
  assert.deepEqual([old.isDestroyed, young.isDestroyed], [true, false]);
  assert.equal(pool.idleCount, 1);
});

test('idle streams beyond the limit end at once', () => {
  const { pool, item } = setUp({ idleCountMax: 1 });
  const [kept, surplus] = [item('kept'), item('surplus')];
  pool.release(kept);
  pool.release(surplus);
  assert.deepEqual([kept.isDestroyed, surplus.isDestroyed], [false, true]);
});

test('a stream that is gone is not handed out', () => {
  const { pool, item } = setUp();
  const dead = item('dead');
  pool.release(dead);
  pool.forget(dead);
  assert.equal(pool.take(), undefined);
});

test('closing ends what is idle, denies who waits, calls off what is dialled and leaves no timer', async () => {
  const { clock, pool, dials, answers, waiter, item } = setUp();
  const idle = item('idle');
  pool.release(idle);
  pool.take();
  pool.release(idle);
  pool.acquire(waiter('one'), SOURCE);
  pool.close(fail('AGENT_GONE'));
  assert.equal(idle.isDestroyed, true);
  assert.deepEqual(answers, ['one was denied AGENT_GONE']);
  assert.equal(dials[0]?.signal.aborted, true);
  assert.equal(clock.pendingCount, 0);
  const late = item('late');
  pool.release(late);
  assert.equal(late.isDestroyed, true);
});
