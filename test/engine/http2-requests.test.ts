/** Requests that come over HTTP/2, in the words of whatever version their upstream speaks. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { startTcpUpstream } from '../support/engine.ts';
import { HOSTNAME, startScriptedUpstream } from './http-upstream.ts';
import {
  ask,
  connectHttp2,
  type Listener,
  startBehind,
  startUpstream,
  UPSTREAM_VERSIONS,
  type UpstreamVersion,
} from './http2-sides.ts';

/** What an upstream saw. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const tell = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { method, url, headers } = request;
  response.end(JSON.stringify({ method, url, headers, body }));
};

const connectTo = async (t: TestContext, version: UpstreamVersion, onRequest: Listener) => {
  const engine = await startBehind(t, await startUpstream(t, version, onRequest), version);
  return { engine, session: await connectHttp2(t, engine) };
};

for (const version of UPSTREAM_VERSIONS)
  describe(`an upstream that speaks ${version}`, () => {
    test('sees method, path, query and headers as they were sent, and who sent them', async (t) => {
      const { engine, session } = await connectTo(t, version, tell);
      const authority = `${HOSTNAME}:${engine.port}`;
      const answer = await ask(session, {
        ':authority': authority,
        ':path': '/a%20b//c?d=e&d',
        'x-thing': 'one, two',
        'x-forwarded-for': '203.0.113.1',
        'x-forwarded-proto': 'http',
        te: 'trailers',
      });
      const seen = JSON.parse(String(answer.body)) as Seen;
      assert.deepEqual([seen.method, seen.url, seen.body], ['GET', '/a%20b//c?d=e&d', '']);
      const { headers } = seen;
      assert.equal(headers.host ?? headers[':authority'], authority);
      assert.equal(headers['x-thing'], 'one, two');
      assert.equal(headers['x-forwarded-for'], '127.0.0.1');
      assert.equal(headers['x-forwarded-proto'], 'https');
      assert.equal(headers['x-forwarded-host'], authority);
      assert.equal(headers['x-forwarded-port'], String(engine.port));
      assert.equal(headers.te, version === 'h2c' ? 'trailers' : undefined);
      assert.equal(headers['transfer-encoding'], undefined);
    });

    test('gets the crumbs of a cookie as one', async (t) => {
      const { session } = await connectTo(t, version, tell);
      const answer = await ask(session, { cookie: ['a=1', 'b=2; c=3', 'd=4'] });
      assert.equal((JSON.parse(String(answer.body)) as Seen).headers.cookie, 'a=1; b=2; c=3; d=4');
    });

    test('gets a body with its length, and one without', async (t) => {
      const { session } = await connectTo(t, version, tell);
      for (const length of [{ 'content-length': 9 }, {}]) {
        const answer = await ask(session, { ':method': 'POST', ...length }, 'some body');
        const { method, headers, body } = JSON.parse(String(answer.body)) as Seen;
        assert.deepEqual([method, body], ['POST', 'some body']);
        assert.equal(headers['content-length'], 'content-length' in length ? '9' : undefined);
        const isChunked = version === 'http/1.1' && !('content-length' in length);
        assert.equal(headers['transfer-encoding'], isChunked ? 'chunked' : undefined);
      }
    });

    test('answers without a body, and says how long it would have been', async (t) => {
      const { session } = await connectTo(t, version, (request, response) => {
        const status = Number(request.url?.slice(1));
        response.writeHead(status, {
          etag: '"x"',
          ...(request.method === 'HEAD' && { 'content-length': 5 }),
        });
        response.end();
      });
      const head = await ask(session, { ':method': 'HEAD', ':path': '/200' });
      assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '5', 0]);
      for (const status of [204, 304]) {
        const answer = await ask(session, { ':path': `/${status}` });
        assert.deepEqual([answer.status, answer.headers.etag, answer.body.length], [status, '"x"', 0]);
      }
    });

    test('sets several cookies, and each arrives by itself', async (t) => {
      const { session } = await connectTo(t, version, (_request, response) => {
        response.setHeader('set-cookie', ['a=1; path=/', 'b=2, c']);
        response.setHeader('www-authenticate', ['Basic realm="x, y"', 'Negotiate']);
        response.end();
      });
      const { headers } = await ask(session);
      assert.deepEqual(headers['set-cookie'], ['a=1; path=/', 'b=2, c']);
      assert.equal(headers['www-authenticate'], 'Basic realm="x, y", Negotiate');
    });

    test('is asked a hundred things at once on one connection', async (t) => {
      const { session } = await connectTo(t, version, (request, response) => {
        setImmediate(() => response.end(request.url));
      });
      const paths = Array.from({ length: 100 }, (_, i) => `/${i}`);
      const answers = await Promise.all(paths.map((path) => ask(session, { ':path': path })));
      assert.deepEqual(
        answers.map(({ body }) => String(body)),
        paths,
      );
    });
  });

describe('an answer in the words of HTTP/1.1', () => {
  const answered = async (t: TestContext, ...lines: string[]) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) =>
      socket.write(
        Buffer.from(`${['HTTP/1.1 200 OK', 'Content-Length: 2', ...lines].join('\r\n')}\r\n\r\nok`, 'latin1'),
      ),
    );
    const session = await connectHttp2(t, await startBehind(t, upstream, 'http/1.1'));
    const answer = await ask(session);
    assert.equal(String(answer.body), 'ok');
    return answer.headers;
  };

  test('loses what means this one connection only', async (t) => {
    const headers = await answered(
      t,
      'Connection: keep-alive, X-Private, Upgrade',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: close',
      'Upgrade: h2c',
      'TE: deflate',
      'X-Private: yes',
      'X-Public: yes',
      'Date: today',
    );
    const entries = [
      ['content-length', '2'],
      ['x-public', 'yes'],
      ['date', 'today'],
    ];
    assert.deepEqual(Object.entries(headers).slice(1), entries);
  });

  test('may say twice what node:http2 would have once, and names what objects inherit', async (t) => {
    const headers = await answered(
      t,
      'X-Content-Type-Options: nosniff',
      'X-Content-Type-Options: nosniff',
      'ETag: "a"',
      'etag: "b"',
      'Constructor: c',
      '__proto__: p',
    );
    assert.equal(headers['x-content-type-options'], 'nosniff, nosniff');
    assert.equal(headers.etag, '"a", "b"');
    assert.equal(headers.constructor, 'c');
    assert.equal(Object.entries(headers).find(([name]) => name === '__proto__')?.[1], 'p');
  });

  test('keeps every byte of its values', async (t) => {
    const utf8 = Buffer.from('Grüße, 世界').toString('latin1');
    assert.equal((await answered(t, `X-Greeting: ${utf8}`))['x-greeting'], utf8);
  });

  test('may have a head of sixty thousand bytes', async (t) => {
    const lines = Array.from({ length: 150 }, (_, i) => `X-Line-${i}: ${'~'.repeat(390)}`);
    const headers = await answered(t, ...lines);
    assert.equal(Object.keys(headers).filter((name) => name.startsWith('x-line-')).length, 150);
  });
});

test('what an HTTP/1.1 upstream may not see is not sent to it', async (t) => {
  let received = '';
  const upstream = await startTcpUpstream(t, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const session = await connectHttp2(t, await startBehind(t, upstream, 'http/1.1'));
  const utf8 = Buffer.from('ü').toString('latin1');
  await ask(session, { ':path': `/${utf8}`, 'x-utf8': utf8, te: 'trailers' });
  assert.ok(received.startsWith(`GET /${utf8} HTTP/1.1\r\nHost: ${HOSTNAME}\r\n`), received);
  assert.match(received, new RegExp(`\r\nx-utf8: ${utf8}\r\n`));
  assert.doesNotMatch(received, /^te:|^:|^connection:/im);
});
