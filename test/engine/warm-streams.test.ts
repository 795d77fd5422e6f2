/** Streams that are dialled ahead, counted where they end: at the upstream. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';
import { publishAs, startHttp2Upstream } from './switch-ends.ts';

const WARM = LIMITS.warmStreamsPerTunnel;
// As many needs of a fresh stream make a tunnel busy.
const BUSY = 4;

/** An upstream that counts its connections, and ends each with its answer if told so. */
const startCounted = async (t: TestContext, closes: boolean) => {
  const open = new Set<unknown>();
  let madeCount = 0;
  let mostCount = 0;
  const servedBy: unknown[] = [];
  const { port, server } = await startHttpUpstream(t, (request, response) => {
    servedBy.push(request.socket);
    if (closes) response.setHeader('connection', 'close');
    response.end('x');
  });
  server.on('connection', (socket) => {
    madeCount += 1;
    open.add(socket);
    mostCount = Math.max(mostCount, open.size);
    socket.once('close', () => open.delete(socket));
  });
  return { port, open, servedBy, madeCount: () => madeCount, mostCount: () => mostCount };
};

const fetchMany = async (engine: TestEngine, count: number): Promise<void> => {
  for (let index = 0; index < count; index += 1)
    assert.equal((await fetchThrough(engine, HOSTNAME, `/${index}`)).status, 200);
};

describe('an upstream that ends each connection with its answer', () => {
  test('finds streams ready once its tunnel is busy, and never more than a few', async (t) => {
    const upstream = await startCounted(t, true);
    const engine = await startPublished(t, upstream);
    await fetchMany(engine, BUSY);
    for (let turn = 0; turn < 10; turn += 1) {
      await eventually(() => upstream.open.size === WARM, 'streams are ready');
      const ready = new Set(upstream.open);
      await fetchMany(engine, 1);
      assert.ok(ready.has(upstream.servedBy.at(-1)), 'the request did not wait for a dial-back');
    }
    assert.ok(upstream.mostCount() <= WARM + 2, `${upstream.mostCount()} at once`);
    assert.ok(upstream.madeCount() <= BUSY + 10 + WARM + 1, `${upstream.madeCount()} in all`);
  });

  test('has none of them any more when the tunnel is quiet', async (t) => {
    const upstream = await startCounted(t, true);
    const engine = await startPublished(t, upstream, { http_idle_seconds: 1 });
    await fetchMany(engine, BUSY);
    await eventually(() => upstream.open.size === WARM, 'streams are ready');
    await eventually(() => upstream.open.size === 0, 'they are gone');
    await eventually(() => engine.engine.counts().pooled === 0, 'the pool has forgotten them');
  });

  test('has none when its tunnel is used now and then', async (t) => {
    const upstream = await startCounted(t, true);
    const engine = await startPublished(t, upstream);
    await fetchMany(engine, BUSY - 1);
    await eventually(() => upstream.open.size === 0, 'every answer has ended its connection');
    assert.equal(upstream.madeCount(), BUSY - 1);
  });
});

// Servers wait for the first request of a connection for a while only: the official Java client's half a minute, Node's a whole one.
describe('an upstream that gives up a stream that was kept ready', () => {
  test('just as the request comes is asked again', async (t) => {
    let lastCount = 0;
    const upstream = await startScriptedUpstream(t, (head, socket) => {
      if (!head.includes(' /last')) return void socket.end(answerText('x'));
      lastCount += 1;
      if (lastCount > 1) socket.end(answerText('x'));
      else socket.destroy();
    });
    const engine = await startPublished(t, upstream);
    await fetchMany(engine, BUSY);
    await eventually(() => engine.engine.counts().pooled === WARM, 'streams are ready');
    assert.equal((await fetchThrough(engine, HOSTNAME, '/last')).status, 200);
    assert.equal(lastCount, 2);
  });

  test('with a 408 that nobody asked for is not taken at its word', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => socket.end(answerText('x')));
    const engine = await startPublished(t, upstream);
    await fetchMany(engine, BUSY);
    const findUnused = () => upstream.connections.filter(({ text }) => text === '');
    await eventually(
      () => engine.engine.counts().pooled === WARM && findUnused().length === WARM,
      'streams are ready',
    );
    for (const { socket } of findUnused())
      socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    await eventually(() => engine.engine.counts().pooled === 0, 'they are thrown away');
    await fetchMany(engine, 1);
  });
});

describe('dials', () => {
  const CONCURRENCY = 32;
  const ROUNDS = 60;

  test('stay as few as the requests at once, however many requests there are', async (t) => {
    const upstream = await startCounted(t, false);
    const engine = await startPublished(t, upstream);
    const askers = await Promise.all(Array.from({ length: CONCURRENCY }, () => connectAsker(t, engine)));
    await Promise.all(
      askers.map(async ({ ask }) => {
        for (let round = 0; round < ROUNDS; round += 1)
          await ask(requestText('GET /'), /\r\n\r\n(.|1\r\nx\r\n0\r\n\r\n)$/);
      }),
    );
    assert.equal(upstream.servedBy.length, CONCURRENCY * ROUNDS);
    assert.ok(upstream.madeCount() <= CONCURRENCY + WARM + 2, `${upstream.madeCount()} dials`);
  });

  test('are one for an upstream of HTTP/2, however many requests come first', async (t) => {
    let sessionCount = 0;
    const upstream = await startHttp2Upstream(t, (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('x');
    });
    upstream.server.on('session', () => {
      sessionCount += 1;
    });
    const engine = await publishAs(t, upstream, 'h2c');
    await Promise.all(Array.from({ length: CONCURRENCY }, () => fetchMany(engine, 1)));
    assert.equal(sessionCount, 1);
  });

  test('do not run away for an upstream of HTTP/2 that allows no stream at all', async (t) => {
    let sessionCount = 0;
    const upstream = await startHttp2Upstream(t, () => assert.fail('it takes none'), {
      settings: { maxConcurrentStreams: 0 },
    });
    upstream.server.on('session', () => {
      sessionCount += 1;
    });
    const settings = { timeouts: { drain_seconds: 0, http_response_seconds: 1 } };
    const engine = await publishAs(t, upstream, 'h2c', { settings });
    const answers = await Promise.all([1, 2, 3].map(() => fetchThrough(engine, HOSTNAME, '/')));
    for (const { status } of answers) assert.equal(status, 504);
    assert.ok(sessionCount <= 3, `${sessionCount} sessions`);
  });
});

test('a request that comes while all streams are busy is answered by the first that is free', async (t) => {
  let held: (() => void) | undefined;
  const { port } = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/slow') held = () => response.end('slow');
    else response.end('fast');
  });
  const engine = await startPublished(t, { port });
  const slow = fetchThrough(engine, HOSTNAME, '/slow');
  await eventually(() => held !== undefined, 'it is under way');
  assert.equal((await fetchThrough(engine, HOSTNAME, '/')).body, 'fast');
  held?.();
  assert.equal((await slow).body, 'slow');
});
