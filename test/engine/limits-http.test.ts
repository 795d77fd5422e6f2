/** Every limit and time-out of the HTTP edge that an operator can set, and those of its heads, each reached over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { ClientHttp2Stream } from 'node:http2';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import {
  connectDownstream,
  exchangeRaw,
  fetchThrough,
  readToEnd,
  startRequest,
} from '../support/downstream.ts';
import { startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectAsker, HOSTNAME, requestText } from './http-upstream.ts';
import { openHttp2, publishAs, responseOf, startHttp2Upstream } from './switch-ends.ts';

/** An upstream that answers only when told to. */
const startHolding = async (t: TestContext) => {
  const held: (() => void)[] = [];
  const { port } = await startHttpUpstream(t, (request, response) => {
    request.resume();
    held.push(() => response.end('x'));
  });
  return { port, held };
};

const bodyOf = async (stream: ClientHttp2Stream): Promise<string> => {
  const chunks = await stream.toArray();
  return Buffer.concat(chunks).toString();
};

describe('limits.requests_per_tunnel', () => {
  test('the next request is refused with 503, and there is room again when one is answered', async (t) => {
    const { port, held } = await startHolding(t);
    const engine = await publishAs(t, { port }, 'h1', { settings: { limits: { requests_per_tunnel: 2 } } });
    const running = [fetchThrough(engine, HOSTNAME, '/1'), fetchThrough(engine, HOSTNAME, '/2')];
    await eventually(() => held.length === 2, 'both are under way');
    const { status, headers } = await fetchThrough(engine, HOSTNAME, '/3');
    assert.deepEqual([status, headers['rstream-error']], [503, 'REQUEST_LIMIT']);
    assert.ok(Number(headers['retry-after']) > 0);
    held.shift()?.();
    await Promise.race(running);
    const next = fetchThrough(engine, HOSTNAME, '/4');
    await eventually(() => held.length === 2, 'it was let through');
    for (const answer of held) answer();
    for (const answered of [...running, next]) assert.equal((await answered).status, 200);
  });

  test('counts what was switched to another protocol until it ends', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n'),
      );
      socket.on('end', () => socket.end());
    });
    const engine = await publishAs(t, { port }, 'h1', { settings: { limits: { requests_per_tunnel: 1 } } });
    const upgrade = requestText('GET /', 'Connection: Upgrade', 'Upgrade: echo/1');
    for (let turn = 0; turn < 2; turn += 1) {
      const socket = await connectDownstream(engine, HOSTNAME);
      socket.write(upgrade);
      await once(socket, 'data');
      assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 503);
      socket.destroy();
      await eventually(() => engine.engine.counts().downstreams === 0, 'it is over');
      await eventually(() => engine.engine.counts().connections <= 1, 'its stream too');
    }
  });
});

test('limits.requests_per_connection: is what HTTP/2 connections are told, and holds', async (t) => {
  const { port, held } = await startHolding(t);
  const engine = await publishAs(t, { port }, 'h1', { settings: { limits: { requests_per_connection: 3 } } });
  const session = await openHttp2(t, engine);
  assert.equal(session.remoteSettings.maxConcurrentStreams, 3);
  const streams = Array.from({ length: 5 }, (_, index) =>
    session.request({ ':path': `/${index}`, ':authority': HOSTNAME }),
  );
  const answers = Promise.all(streams.map(responseOf));
  for (let answered = 0; answered < 5; answered += 1) {
    await eventually(() => held.length > 0, 'the next is under way');
    assert.ok(held.length <= 3);
    held.shift()?.();
  }
  for (const answer of await answers) assert.equal(answer[':status'], 200);
});

describe('limits.request_body_bytes', () => {
  const LIMIT = 100_000;
  const settings = { limits: { request_body_bytes: LIMIT } };

  /** An upstream that tells how much it got, and of how many requests it got any of. */
  const startMeasuring = async (t: TestContext, up: 'h1' | 'h2c') => {
    let askedCount = 0;
    const measure = (request: NodeJS.ReadableStream, end: (text: string) => void) => {
      askedCount += 1;
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      request.on('end', () => end(String(bytes)));
      request.on('error', () => {});
    };
    const { port } =
      up === 'h1'
        ? await startHttpUpstream(t, (request, response) => measure(request, (text) => response.end(text)))
        : await startHttp2Upstream(t, (stream) =>
            measure(stream, (text) => {
              if (stream.destroyed) return;
              stream.respond({ ':status': 200 });
              stream.end(text);
            }),
          );
    return { port, askedCount: () => askedCount };
  };

  for (const up of ['h1', 'h2c'] as const) {
    for (const [name, headers] of [
      ['by its length', { 'content-length': LIMIT + 1 }],
      ['in chunks', { 'transfer-encoding': 'chunked' }],
    ] as const)
      test(`a body that is too large ${name} is refused over HTTP/1.1, towards ${up}`, async (t) => {
        const { port, askedCount } = await startMeasuring(t, up);
        const engine = await publishAs(t, { port }, up, { settings });
        const request = startRequest(engine, HOSTNAME, '/', { method: 'POST', headers });
        request.on('error', () => {});
        request.write(Buffer.alloc(LIMIT));
        request.write(Buffer.alloc(1));
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        assert.deepEqual([response.statusCode, response.headers.connection], [413, 'close']);
        assert.match(String(await response.toArray()), /REQUEST_BODY_TOO_LARGE/);
        if ('content-length' in headers) assert.equal(askedCount(), 0, 'the upstream was never asked');
        request.destroy();
      });

    for (const headers of [{ 'content-length': LIMIT + 1 }, {}])
      test(`a body that is too large ${'content-length' in headers ? 'by its length' : 'as it comes'} is refused over HTTP/2, towards ${up}`, async (t) => {
        const { port } = await startMeasuring(t, up);
        const session = await openHttp2(t, await publishAs(t, { port }, up, { settings }));
        const stream = session.request({
          ':method': 'POST',
          ':path': '/',
          ':authority': HOSTNAME,
          ...headers,
        });
        stream.on('error', () => {});
        stream.write(Buffer.alloc(LIMIT));
        stream.write(Buffer.alloc(1));
        assert.equal((await responseOf(stream))[':status'], 413);
        assert.match(await bodyOf(stream), /REQUEST_BODY_TOO_LARGE/);
        // The connection goes on.
        const next = session.request({ ':method': 'POST', ':path': '/', ':authority': HOSTNAME });
        next.end('12345');
        assert.equal((await responseOf(next))[':status'], 200);
        assert.equal(await bodyOf(next), '5');
      });

    test(`a body of exactly that size passes, towards ${up}`, async (t) => {
      const { port } = await startMeasuring(t, up);
      const engine = await publishAs(t, { port }, up, { settings });
      const body = Buffer.alloc(LIMIT);
      const headers = { 'content-length': LIMIT };
      const { status, body: told } = await fetchThrough(engine, HOSTNAME, '/', {
        method: 'POST',
        headers,
        body,
      });
      assert.deepEqual([status, told], [200, String(LIMIT)]);
    });
  }
});

describe('a head', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `X-${index}: x`);

  for (const [name, headers] of [
    ['more bytes', [`X: ${'x'.repeat(LIMITS.requestHeadBytesMax)}`]],
    ['more lines', lines(LIMITS.headerLinesMax)],
  ] as const)
    test(`of ${name} than allowed is refused with 431`, async (t) => {
      const { port } = await startHttpUpstream(t, () => assert.fail('the upstream was asked'));
      const engine = await publishAs(t, { port }, 'h1');
      const answer = await exchangeRaw(engine, HOSTNAME, requestText('GET /', ...headers));
      assert.match(answer, /^HTTP\/1\.1 431 .*REQUEST_HEAD_TOO_LARGE/s);
    });

  test('of just as many lines passes', async (t) => {
    const { port } = await startHttpUpstream(t, (_request, response) => response.end());
    const engine = await publishAs(t, { port }, 'h1');
    const text = requestText('GET /', 'Connection: close', ...lines(LIMITS.headerLinesMax - 2));
    assert.match(await exchangeRaw(engine, HOSTNAME, text), /^HTTP\/1\.1 200 /);
  });

  test('of an answer with more bytes than allowed is refused with 502', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      const long = 'x'.repeat(LIMITS.responseHeadBytesMax);
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nX: ${long}\r\n\r\n`));
    });
    const { status, headers } = await fetchThrough(await publishAs(t, { port }, 'h1'), HOSTNAME, '/');
    assert.deepEqual([status, headers['rstream-error']], [502, 'UPSTREAM_HEAD_TOO_LARGE']);
  });
});

describe('time-outs', () => {
  const withTimeouts = (timeouts: Record<string, number>) => ({
    settings: { timeouts: { drain_seconds: 0, ...timeouts } },
  });

  test('http_idle_seconds: an idle connection ends, of either version, and so does an idle stream', async (t) => {
    const open = new Set<unknown>();
    const { port, server } = await startHttpUpstream(t, (_request, response) => response.end('x'));
    server.on('connection', (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    const engine = await publishAs(t, { port }, 'h1', withTimeouts({ http_idle_seconds: 1 }));
    const session = await openHttp2(t, engine);
    const socket = await connectDownstream(engine, HOSTNAME);
    socket.write(requestText('GET /'));
    await Promise.all([readToEnd(socket), once(session, 'close')]);
    await eventually(() => open.size === 0, 'the stream has ended');
  });

  test('http_response_seconds: a service that does not answer is 504', async (t) => {
    const { port } = await startHolding(t);
    const engine = await publishAs(t, { port }, 'h1', withTimeouts({ http_response_seconds: 1 }));
    const { status, headers } = await fetchThrough(engine, HOSTNAME, '/');
    assert.deepEqual([status, headers['rstream-error']], [504, 'UPSTREAM_TIMEOUT']);
  });

  test('request_body_idle_seconds: a body that stops coming is 408, over either version', async (t) => {
    const { port } = await startHolding(t);
    const engine = await publishAs(t, { port }, 'h1', withTimeouts({ request_body_idle_seconds: 1 }));
    const session = await openHttp2(t, engine);
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': HOSTNAME });
    stream.on('error', () => {});
    stream.write('some');
    const text = requestText('POST /', 'Content-Length: 10');
    const [answer, raw] = await Promise.all([
      responseOf(stream),
      exchangeRaw(engine, HOSTNAME, `${text}some`),
    ]);
    assert.equal(answer[':status'], 408);
    assert.match(raw, /^HTTP\/1\.1 408 .*REQUEST_TIMEOUT/s);
  });

  test('stream_idle_seconds: an answer that stops coming is cut, and so is a switched connection', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.once('data', (head) =>
        socket.write(
          String(head).includes('echo/1')
            ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n'
            : 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome',
        ),
      );
    });
    const engine = await publishAs(t, { port }, 'h1', withTimeouts({ stream_idle_seconds: 1 }));
    const upgrade = requestText('GET /', 'Connection: Upgrade', 'Upgrade: echo/1');
    const { socket, ask } = await connectAsker(t, engine);
    assert.match(await ask(upgrade, '\r\n\r\n'), /^HTTP\/1\.1 101 /);
    const [answer] = await Promise.all([
      exchangeRaw(engine, HOSTNAME, requestText('GET /')),
      assert.rejects(once(socket.resume(), 'end'), { code: 'ECONNRESET' }),
    ]);
    assert.match(answer, /\r\n\r\nsome$/);
    await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
  });
});
