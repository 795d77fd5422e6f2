/** The Engine API over HTTP/2: the same answers, on connections that carry several at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { createServer } from 'node:tls';
import type { ApiNeeds } from '../../src/api/app.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { testCertificates } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { AGENTS, ownerOf, READER, startApi, until } from './start-api.ts';

const startHttp2 = async (t: TestContext, changes: Partial<ApiNeeds> = {}) => {
  const started = await startApi(t, changes);
  const { cert, key, ca } = await testCertificates();
  const listener = createServer({ cert, key, ALPNProtocols: ['h2'], allowHalfOpen: true }, (socket) => {
    const { remoteAddress, remotePort } = socket;
    started.api.accept(socket, { remoteAddress, remotePort, alpnProtocol: 'h2', serverName: 'localhost' });
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const session = connect(`https://localhost:${port}`, { ca, host: '127.0.0.1' });
  session.on('error', () => {});
  t.after(() => {
    session.destroy();
    listener.close();
  });
  await once(session, 'connect');
  return { ...started, session };
};

const begin = (
  session: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders = {},
): ClientHttp2Stream => {
  const stream = session.request({ ':path': path, authorization: `Bearer ${READER}`, ...headers });
  return stream.on('error', () => {});
};

const ask = async (session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}) => {
  const stream = begin(session, path, headers);
  stream.end();
  const [answered] = await once(stream, 'response');
  return { status: answered[':status'], headers: answered, body: await text(stream) };
};

const watch = async (session: ClientHttp2Session) => {
  const stream = begin(session, '/api/sse');
  const [headers] = await once(stream, 'response');
  let heard = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    heard += chunk;
  });
  return { stream, headers, heard: () => heard };
};

describe('an HTTP/2 connection', () => {
  test('carries several requests at once, with the answers of HTTP/1.1', async (t) => {
    const { session, api } = await startHttp2(t);
    const paths = ['/api/clients', '/api/tunnels', '/api/auth', '/api/openapi.json', '/healthz', '/nowhere'];
    const answers = await Promise.all(paths.map((path) => ask(session, path)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 204, 200, 200, 404],
    );
    assert.equal(JSON.parse(answers[0]?.body ?? '').length, 2);
    assert.equal(answers[0]?.headers['cache-control'], 'no-store');
    assert.equal(api.connectionCount, 1);
  });

  test('refuses what HTTP/1.1 refuses, with a line in the log that names the peer', async (t) => {
    const { session, log } = await startHttp2(t);
    const post = await ask(session, '/api/tunnels', { ':method': 'POST' });
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD']);
    const without = await ask(session, '/api/tunnels', { authorization: '' });
    assert.deepEqual([without.status, JSON.parse(without.body).code], [401, 'TOKEN_MISSING']);
    assert.equal((await ask(session, '/api/websocket')).status, 426);
    assert.match(String(log.withCode('TOKEN_MISSING')[0]?.fields.remote), /^127\.0\.0\.1:\d+$/);
  });

  test('carries no requests for the names of tunnels, though one certificate names all (421)', async (t) => {
    const { session } = await startHttp2(t);
    const { status, body } = await ask(session, '/', { ':authority': 'web.t.localhost' });
    assert.deepEqual([status, JSON.parse(body).code], [421, 'MISDIRECTED_REQUEST']);
    assert.equal((await ask(session, '/', { ':authority': 'LOCALHOST:8443' })).status, 200);
  });

  test('takes no CONNECT', async (t) => {
    const { session } = await startHttp2(t);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'localhost:1' });
    stream.on('error', () => {});
    const [answered] = await once(stream, 'response');
    assert.equal(answered[':status'], 405);
  });
});

describe('a watcher on an HTTP/2 connection', () => {
  test('gets events beside other answers, for as long as it wants', async (t) => {
    const { api, clock, registry, session } = await startHttp2(t);
    const { stream, headers, heard } = await watch(session);
    assert.equal(headers['content-type'], 'text/event-stream');
    clock.advance(LIMITS.watchKeepAliveMs);
    clock.advance(2 * LIMITS.apiAnswerMsMax);
    registry.open(ownerOf(AGENTS[0]!), {});
    await eventually(() => heard().includes('"tunnel.created"'), 'the change');
    assert.match(heard(), /^data: \{"type":"state\.initial".*\n\n:\n\n/);
    assert.equal((await ask(session, '/healthz')).status, 200);
    clock.advance(LIMITS.apiIdleMsMax);
    assert.equal(api.watcherCount, 1);
    stream.close();
    await until(() => api.watcherCount === 0);
    assert.equal(api.connectionCount, 1);
    clock.advance(LIMITS.apiIdleMsMax);
    await until(() => api.connectionCount === 0);
    assert.equal(clock.pendingCount, 0);
  });

  test('is told of its end', async (t) => {
    const { api, session } = await startHttp2(t);
    const { stream, heard } = await watch(session);
    api.recheck(() => false);
    await once(stream, 'close');
    assert.match(heard(), /\n\n: TOKEN_REVOKED\n\n$/);
    assert.equal((await ask(session, '/healthz')).status, 200, 'the connection goes on');
  });

  test('ends with its connection', async (t) => {
    const { api, clock, session } = await startHttp2(t);
    await watch(session);
    session.destroy();
    await until(() => api.watcherCount === 0 && api.connectionCount === 0);
    assert.equal(clock.pendingCount, 0);
  });
});

test('a connection without a request is cut after apiRequestMsMax, and close waits for what runs', async (t) => {
  const { api, clock, session } = await startHttp2(t, { verifyToken: () => new Promise(() => {}) });
  begin(session, '/api/auth').end();
  const idle = await startHttp2(t);
  idle.clock.advance(LIMITS.apiRequestMsMax);
  await until(() => idle.api.connectionCount === 0);
  await eventually(() => clock.pendingCount === 1, 'the request has begun');
  const closed = api.close();
  clock.advance(LIMITS.apiAnswerMsMax);
  await closed;
  assert.equal(clock.pendingCount, 0);
});
