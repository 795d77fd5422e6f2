/** The machine's clock jumps: what waits goes by a clock that does not, and only what has a date goes by the date. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { type Clock, createClock } from '../../src/base/time.ts';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { readToEnd } from '../support/read-to-end.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const HOSTNAME = 'web.t.localhost';

/** The system's clock, whose date a test can set. */
const createJumpingClock = (): Clock & { jump(ms: number): void } => {
  const clock = createClock();
  let aheadMs = 0;
  return {
    now: () => clock.now() + aheadMs,
    elapsed: clock.elapsed,
    after: clock.after,
    get pendingCount() {
      return clock.pendingCount;
    },
    jump: (ms) => {
      aheadMs += ms;
    },
  };
};

/** A published service with a download under way, and an agent whose token is good for an hour. */
const start = async (t: TestContext) => {
  const clock = createJumpingClock();
  const engine = await startEngine(t, { clock });
  let atUpstream: ServerResponse | undefined;
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/short') return response.end('short');
    atUpstream = response;
    return response.write('first half, ');
  });
  await engine.publish(upstream, { hostname: 'web' });
  const request = startRequest(engine, HOSTNAME, '/');
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  const createToken = (name: string, lifeMs: number) =>
    engine.withCredentials(async (credentials) => {
      const order = { name, permissions: null, expiresAt: clock.now() + lifeMs };
      return (await credentials.createToken(order)).token;
    });
  return {
    clock,
    engine,
    response,
    createToken,
    survives: async () => {
      assert.equal((await fetchThrough(engine, HOSTNAME, '/short')).body, 'short');
      atUpstream?.end('second half');
      assert.equal(String(await readToEnd(response)), 'first half, second half');
      assert.equal((await fetchThrough(engine, HOSTNAME, '/short')).body, 'short');
      assert.equal(engine.engine.counts().tunnels, 1);
      assert.ok(
        engine.log.lines.every(({ message }) => message !== 'agent is offline'),
        'the agent has not noticed anything',
      );
    },
  };
};

describe('a clock that jumps', () => {
  test('a day forwards ends what has expired by then, and nothing else', async (t) => {
    const { clock, engine, createToken, survives } = await start(t);
    const token = await createToken('short', HOUR_MS);
    const agent = await engine.connectAgent({ token });
    const lasting = await createToken('lasting', 7 * DAY_MS);
    clock.jump(DAY_MS);
    await agent.ended;
    await assert.rejects(engine.connectAgent({ token }), { code: 1000, message: /TOKEN_EXPIRED/ });
    await engine.connectAgent({ token: lasting });
    await eventually(() => engine.engine.counts().sessions === 2, 'only the expired one is gone');
    await survives();
  });

  test('a day backwards ends nothing, and tokens of the day before hold', async (t) => {
    const { clock, engine, createToken, survives } = await start(t);
    const token = await createToken('short', HOUR_MS);
    const agent = await engine.connectAgent({ token });
    clock.jump(-DAY_MS);
    await engine.connectAgent({ token });
    await engine.connectAgent({ token: await createToken('new', HOUR_MS) });
    assert.equal(engine.engine.counts().sessions, 4);
    await survives();
    await agent.close();
  });
});

test('a drain takes its time by the clock that does not jump', async (t) => {
  const { clock, engine, response } = await start(t);
  const cut = assert.rejects(readToEnd(response), { code: 'ECONNRESET' });
  const startMs = performance.now();
  const stopped = engine.engine.stop();
  for (const ms of [DAY_MS, -2 * DAY_MS]) clock.jump(ms);
  await stopped;
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= 990 && tookMs < 5_000, `it took ${tookMs} ms`);
  await cut;
});
