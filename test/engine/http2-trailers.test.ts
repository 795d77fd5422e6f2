/** Trailers arrive behind their bodies in both directions, whatever versions the two sides speak. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { exchangeRaw, startRequest } from '../support/downstream.ts';
import type { TestEngine } from '../support/engine.ts';
import { HOSTNAME, requestText, startScriptedUpstream } from './http-upstream.ts';
import {
  answerOf,
  ask,
  connectHttp2,
  openStream,
  startBehind,
  startHttp2Upstream,
  startUpstream,
  UPSTREAM_VERSIONS,
} from './http2-sides.ts';

type Trailers = Readonly<Record<string, string>>;

/** Sends a body with trailers; gives the body and the trailers that come back. */
type Post = (
  t: TestContext,
  engine: TestEngine,
  body: string,
  trailers: Trailers,
) => Promise<{ body: string; trailers: Record<string, unknown> }>;

const DOWNSTREAMS: Record<string, Post> = {
  async 'http/1.1'(_t, engine, body, trailers) {
    const request = startRequest(engine, HOSTNAME, '/', { method: 'POST', headers: { te: 'trailers' } });
    request.flushHeaders();
    request.addTrailers(trailers);
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const text = (await response.setEncoding('latin1').toArray()).join('');
    return { body: text, trailers: response.trailers };
  },
  async h2(t, engine, body, trailers) {
    const session = await connectHttp2(t, engine);
    const stream = openStream(session, { ':method': 'POST', te: 'trailers' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    const answer = answerOf(stream);
    stream.end(body);
    return { body: String((await answer).body), trailers: (await answer).trailers };
  },
};

for (const [downstream, post] of Object.entries(DOWNSTREAMS))
  for (const version of UPSTREAM_VERSIONS)
    describe(`between a downstream of ${downstream} and an upstream of ${version}`, () => {
      for (const body of ['body', ''])
        test(`trailers pass both ways behind ${body || 'no body'}`, async (t) => {
          const upstream = await startUpstream(t, version, async (request, response) => {
            let received = '';
            for await (const chunk of request) received += chunk;
            response.writeHead(200, { trailer: 'x-echo, x-two' });
            response.write(received || '(none)');
            response.addTrailers({ 'x-echo': request.trailers['x-checksum'] ?? 'none', 'x-two': '2' });
            response.end();
          });
          const engine = await startBehind(t, upstream, version);
          const answer = await post(t, engine, body, { 'x-checksum': 'abc' });
          assert.deepEqual(
            [answer.body, answer.trailers['x-echo'], answer.trailers['x-two']],
            [body || '(none)', 'abc', '2'],
          );
        });
    });

describe('trailers that frame, route or name a connection', () => {
  const FORBIDDEN = ['Content-Length: 1', 'Connection: close', 'Host: x', 'X-Forwarded-For: x', 'TE: gzip'];

  test('are refused where they come over HTTP/1.1', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => stream.resume());
    const engine = await startBehind(t, upstream, 'h2c');
    for (const trailer of FORBIDDEN) {
      const text = requestText('POST /', 'Transfer-Encoding: chunked', 'Connection: close');
      const answer = await exchangeRaw(engine, HOSTNAME, `${text}1\r\na\r\n0\r\n${trailer}\r\n\r\n`);
      assert.match(answer, /^HTTP\/1.1 400 .*REQUEST_MALFORMED/s, trailer);
    }
  });

  test('do not reach an upstream of HTTP/2', async (t) => {
    const seen: string[] = [];
    const upstream = await startHttp2Upstream(t, (stream) => {
      stream.on('trailers', (trailers) => seen.push(...Object.keys(trailers)));
      stream.on('end', () => {
        stream.respond();
        stream.end('ok');
      });
      stream.resume();
    });
    const engine = await startBehind(t, upstream, 'h2c');
    const session = await connectHttp2(t, engine);
    const stream = openStream(session, { ':method': 'POST' }, { waitForTrailers: true });
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ host: 'x', 'x-forwarded-for': 'x', 'x-good': 'yes' }),
    );
    const answer = answerOf(stream);
    stream.end('a');
    assert.equal((await answer).status, 200);
    assert.deepEqual(seen, ['x-good']);
  });

  test('break the answer off where they come over HTTP/1.1', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) =>
      socket.write(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${FORBIDDEN[0]}\r\n\r\n`,
      ),
    );
    const session = await connectHttp2(t, await startBehind(t, upstream, 'http/1.1'));
    await assert.rejects(ask(session), { code: 'ERR_HTTP2_STREAM_ERROR' });
  });

  test('do not reach a downstream of HTTP/2', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => {
      stream.respond({}, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ host: 'x', 'x-forwarded-for': 'x', 'x-good': ['a', 'b'] }),
      );
      stream.end('a');
    });
    const session = await connectHttp2(t, await startBehind(t, upstream, 'h2c'));
    const { body, trailers } = await ask(session);
    assert.deepEqual([String(body), Object.keys(trailers)], ['a', ['x-good']]);
    assert.equal(trailers['x-good'], 'a, b');
  });
});
