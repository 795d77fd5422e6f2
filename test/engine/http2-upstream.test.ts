/** HTTP/2 towards an upstream: one session for many requests, a new one in time, and a word for an upstream that does not keep the rules. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import { describe, type TestContext, test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  FLAG,
  type Frame,
  frame,
  headersFrame,
  MAGIC_LENGTH,
  readFrames,
  resetFrame,
  SETTINGS,
  TYPE,
} from '../support/http2-frames.ts';
import { HOSTNAME } from './http-upstream.ts';
import { ask, connectHttp2, type Http2Answer, startBehind, startHttp2Upstream } from './http2-sides.ts';

type Upstream = Awaited<ReturnType<typeof startHttp2Upstream>>;

const start = async (t: TestContext, upstream: { port: number }, timeouts: Record<string, number> = {}) => {
  const settings = { timeouts: { drain_seconds: 1, stream_request_seconds: 5, ...timeouts } };
  const engine = await startBehind(t, upstream, 'h2c', settings);
  return { engine, session: await connectHttp2(t, engine) };
};

const answer = (stream: ServerHttp2Stream, body = 'ok') => {
  stream.respond();
  stream.end(body);
};

const askMany = (session: ClientHttp2Session, count: number): Promise<Http2Answer[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => ask(session, { ':path': `/${i}` })));

const isGone = (upstream: Upstream, index: number) =>
  eventually(() => upstream.sessions[index]?.destroyed === true, `session ${index} ends`);

describe('requests to an upstream of HTTP/2', () => {
  test('share one session, the first fifty at once as well', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => void setImmediate(answer, stream));
    const { engine, session } = await start(t, upstream);
    const answers = [...(await askMany(session, 50)), ...(await askMany(session, 50))];
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 200);
    assert.equal(upstream.sessions.length, 1);
  });

  test('are never more at once than it allows, and all of them are answered', async (t) => {
    const openCounts = new Map<unknown, number>();
    let countMax = 0;
    const upstream = await startHttp2Upstream(
      t,
      (stream) => {
        const { session } = stream;
        const count = (openCounts.get(session) ?? 0) + 1;
        openCounts.set(session, count);
        countMax = Math.max(countMax, count);
        stream.on('close', () => openCounts.set(session, (openCounts.get(session) ?? 0) - 1));
        setImmediate(answer, stream);
      },
      { settings: { maxConcurrentStreams: 5 } },
    );
    const { session } = await start(t, upstream);
    const answers = await askMany(session, 60);
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(countMax <= 5, `${countMax}`);
  });

  test('wait while it allows none', async (t) => {
    const options = { settings: { maxConcurrentStreams: 0 } };
    const upstream = await startHttp2Upstream(t, (stream) => answer(stream), options);
    const more = { maxConcurrentStreams: 10 };
    upstream.server.on('session', (one) => one.once('localSettings', () => one.settings(more)));
    const { session } = await start(t, upstream);
    assert.ok((await askMany(session, 3)).every(({ status }) => status === 200));
  });

  test('go to a new session after GOAWAY, and those that run are finished', async (t) => {
    const held: ServerHttp2Stream[] = [];
    const upstream = await startHttp2Upstream(t, (stream, headers) => {
      if (headers[':path'] === '/held') held.push(stream);
      else answer(stream);
    });
    const { session } = await start(t, upstream);
    const running = ask(session, { ':path': '/held' });
    await eventually(() => held.length === 1, 'the request is there');
    upstream.sessions[0]?.goaway();
    assert.equal((await askUntilNewSession(session, upstream)).status, 200);
    answer(held[0] as ServerHttp2Stream, 'held');
    assert.equal(String((await running).body), 'held');
    await isGone(upstream, 0);
  });

  test('go to a new session after it closed an idle one', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => answer(stream));
    const { engine, session } = await start(t, upstream);
    for (let count = 1; count <= 3; count += 1) {
      assert.equal((await ask(session)).status, 200);
      assert.equal(upstream.sessions.length, count);
      upstream.cut();
      await eventually(() => engine.engine.counts().pooled === 0, 'the pool has dropped it');
    }
  });

  test('are asked once more, on another session, when it dies before it answers what may be repeated', async (t) => {
    let seenCount = 0;
    const upstream = await startHttp2Upstream(t, (stream, headers) => {
      if (headers[':path'] !== '/deadly') return answer(stream);
      seenCount += 1;
      if (seenCount === 1) upstream.cut();
      else answer(stream, 'again');
    });
    const { session } = await start(t, upstream);
    await ask(session);
    assert.equal(String((await ask(session, { ':path': '/deadly' })).body), 'again');
    assert.deepEqual([seenCount, upstream.sessions.length], [2, 2]);
  });

  test('are answered for with 502 when it dies before it answers what may not be repeated', async (t) => {
    let seenCount = 0;
    const upstream = await startHttp2Upstream(t, (stream, headers) => {
      if (headers[':path'] !== '/deadly') return answer(stream);
      seenCount += 1;
      if (seenCount === 5) upstream.cut();
    });
    const { engine, session } = await start(t, upstream);
    await ask(session);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => ask(session, { ':method': 'POST', ':path': '/deadly' })),
    );
    for (const { status, headers } of answers)
      assert.deepEqual([status, headers['rstream-error']], [502, 'UPSTREAM_CLOSED']);
    assert.equal(seenCount, 5);
    assert.equal((await ask(session)).status, 200);
    assert.equal(engine.log.withCode('UPSTREAM_CLOSED').length, 5);
  });

  test('leave nothing behind: an idle session is closed in time', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => answer(stream));
    const { engine, session } = await start(t, upstream, { http_idle_seconds: 1 });
    await ask(session);
    await isGone(upstream, 0);
    assert.equal(engine.engine.counts().pooled, 0);
  });
});

/** Asks until the GOAWAY that is on its way has arrived. */
const askUntilNewSession = async (session: ClientHttp2Session, upstream: Upstream): Promise<Http2Answer> => {
  for (;;) {
    const one = await ask(session);
    if (upstream.sessions.length > 1) return one;
  }
};

describe('an upstream that is none of HTTP/2', () => {
  const refusedBy = async (engine: TestEngine) => {
    const startMs = performance.now();
    const { status, headers } = await fetchThrough(engine, HOSTNAME, '/');
    assert.ok(performance.now() - startMs < 3_000, 'it does not take long');
    assert.equal(status, 502);
    return headers['rstream-error'];
  };

  test('but speaks HTTP/1.1 is answered for with UPSTREAM_MALFORMED', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'));
    const { engine } = await start(t, upstream);
    assert.equal(await refusedBy(engine), 'UPSTREAM_MALFORMED');
    const [line] = engine.log.withCode('UPSTREAM_MALFORMED');
    assert.ok(line?.fields.reason, 'the log tells why');
  });

  test('but hangs up is answered for with UPSTREAM_CLOSED', async (t) => {
    const { engine } = await start(t, await startTcpUpstream(t, (socket) => socket.end()));
    assert.equal(await refusedBy(engine), 'UPSTREAM_CLOSED');
  });
});

describe('an upstream that breaks the rules of HTTP/2', () => {
  const STATUS = [':status', '200'];
  const tooLong = (stream: number) =>
    Buffer.concat(
      Array.from({ length: 17 }, () => headersFrame(stream, [':status', '103'], FLAG.endHeaders)),
    );
  const CASES: Record<string, (stream: number) => Buffer> = {
    'with no status': (stream) => headersFrame(stream, ['x-a', 'b']),
    'with a status that is no number': (stream) => headersFrame(stream, [':status', 'abc']),
    'with two statuses': (stream) => headersFrame(stream, [...STATUS, ...STATUS]),
    'with a pseudo-header of requests': (stream) => headersFrame(stream, [...STATUS, ':path', '/']),
    'with a name in upper case': (stream) => headersFrame(stream, [...STATUS, 'X-A', 'b']),
    'with Connection': (stream) => headersFrame(stream, [...STATUS, 'connection', 'close']),
    'with Transfer-Encoding': (stream) => headersFrame(stream, [...STATUS, 'transfer-encoding', 'chunked']),
    'with two lengths': (stream) =>
      headersFrame(stream, [...STATUS, 'content-length', '0', 'content-length', '1']),
    'with a switch of protocols that HTTP/2 does not have': (stream) =>
      headersFrame(stream, [':status', '101'], FLAG.endHeaders),
    'with a head that never becomes final': tooLong,
    'with more headers than the engine takes': (stream) =>
      headersFrame(stream, [...STATUS, ...Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'y']).flat()]),
    'with RST_STREAM': (stream) => resetFrame(stream, 7),
    'with a frame that is too large': (stream) => frame(TYPE.data, 0, stream, Buffer.alloc(20_000)),
  };

  /** It answers the first request as the test says and all others with 200. */
  const startRawUpstream = (t: TestContext, first: (stream: number) => Buffer) => {
    let count = 0;
    return startTcpUpstream(t, (socket) => {
      const { frames } = readFrames(socket, MAGIC_LENGTH);
      socket.write(SETTINGS);
      let readCount = 0;
      const answerTo = ({ type, streamId }: Frame) => {
        if (type === TYPE.goaway) socket.end();
        if (type !== TYPE.headers) return;
        count += 1;
        socket.write(count === 1 ? first(streamId) : headersFrame(streamId, STATUS));
      };
      socket.on('data', () => {
        for (const one of frames.slice(readCount)) answerTo(one);
        readCount = frames.length;
      });
      socket.on('end', () => socket.end());
    });
  };

  for (const [what, bytesOf] of Object.entries(CASES))
    test(`${what} is answered for with 502, and the next request is as good as new`, async (t) => {
      const { session } = await start(t, await startRawUpstream(t, bytesOf));
      const { status } = await ask(session, { ':method': 'POST' });
      assert.equal(status, 502);
      assert.equal((await ask(session)).status, 200);
    });

  test('whose body is shorter than it said has its stream reset', async (t) => {
    const upstream = await startRawUpstream(t, (stream) =>
      Buffer.concat([
        headersFrame(stream, [...STATUS, 'content-length', '10'], FLAG.endHeaders),
        frame(TYPE.data, FLAG.endStream, stream, 'short'),
      ]),
    );
    const { session } = await start(t, upstream);
    await assert.rejects(ask(session), { code: 'ERR_HTTP2_STREAM_ERROR' });
    assert.equal((await ask(session)).status, 200);
  });

  test('by answering more than was asked for loses that session', async (t) => {
    const upstream = await startRawUpstream(t, (stream) =>
      Buffer.concat([headersFrame(stream, STATUS), headersFrame(stream + 2, STATUS)]),
    );
    const { session } = await start(t, upstream);
    await ask(session).catch(() => {});
    assert.equal((await ask(session)).status, 200);
  });
});

test('a session whose upstream ends it while a body is sent is answered for', async (t) => {
  const upstream = await startHttp2Upstream(t, () => upstream.cut());
  const { session } = await start(t, upstream);
  const stream = session.request({ ':authority': HOSTNAME, ':path': '/', ':method': 'POST' });
  stream.on('error', () => {});
  stream.write(Buffer.alloc(100_000));
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  assert.equal(headers[':status'], 502);
});
