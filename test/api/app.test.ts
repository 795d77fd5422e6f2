/** Paths, methods, headers, and the pages that say how the engine is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { createServer } from 'node:tls';
import { testCertificates } from '../support/certificates.ts';
import { type Ask, READER, startApi } from './start-api.ts';

const UPGRADE = { connection: 'upgrade', upgrade: 'websocket' };

describe('paths and methods', () => {
  const cases: readonly (readonly [path: string, ask: Ask, status: number, shown: RegExp])[] = [
    ['/', {}, 200, /rstream tunnel engine/],
    ['/healthz', {}, 200, /"ok"/],
    ['/readyz', {}, 200, /"ready"/],
    ['/api/health/live', {}, 200, /^\{"status":"live"\}$/],
    ['/api/health/ready', {}, 200, /^\{"status":"ready"\}$/],
    ['/api/health/ready', { token: 'not-a-token' }, 200, /^\{"status":"ready"\}$/],
    ['/api/health', {}, 404, /PATH_UNKNOWN/],
    ['/api', {}, 404, /PATH_UNKNOWN/],
    ['/api/', {}, 404, /PATH_UNKNOWN/],
    ['/api/tunnels/', { token: READER }, 404, /PATH_UNKNOWN/],
    ['/API/tunnels', { token: READER }, 404, /PATH_UNKNOWN/],
    ['/api/sse/', { token: READER }, 404, /PATH_UNKNOWN/],
    ['/api/websocket', { token: READER }, 426, /UPGRADE_REQUIRED/],
    ['/api/tunnels', { token: READER, headers: UPGRADE }, 200, /\[\]/],
    ['/nowhere', { headers: UPGRADE }, 404, /PATH_UNKNOWN/],
    ['/.well-known/rstream/engine', {}, 404, /PATH_UNKNOWN/],
    ['/%zz', {}, 404, /PATH_UNKNOWN/],
    ['//api/tunnels', {}, 404, /PATH_UNKNOWN/],
    ['/api/tunnels', { method: 'POST', token: READER }, 405, /METHOD_NOT_ALLOWED/],
    ['/api/tunnels/x', { method: 'DELETE', token: READER }, 405, /METHOD_NOT_ALLOWED/],
    ['/', { method: 'OPTIONS' }, 405, /METHOD_NOT_ALLOWED/],
    ['/nowhere', { method: 'PUT' }, 405, /METHOD_NOT_ALLOWED/],
  ];
  for (const [path, how, status, shown] of cases)
    test(`${how.method ?? 'GET'} ${path} is ${status}`, async (t) => {
      const { ask } = await startApi(t);
      const { status: actual, headers, body } = await ask(path, how);
      assert.equal(actual, status);
      assert.match(body, shown);
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers.allow, status === 405 ? 'GET, HEAD' : undefined);
      assert.ok(!('x-powered-by' in headers));
    });

  for (const path of ['/', '/healthz', '/api/openapi.json', '/api/tunnels', '/api/auth', '/nowhere'])
    test(`HEAD ${path} has the head of GET and no body`, async (t) => {
      const { ask } = await startApi(t);
      const get = await ask(path, { token: READER });
      const head = await ask(path, { method: 'HEAD', token: READER });
      assert.equal(head.status, get.status);
      assert.equal(head.body, '');
      assert.equal(head.headers['content-length'], get.headers['content-length']);
      assert.equal(head.headers['content-type'], get.headers['content-type']);
    });

  test('an engine that drains is healthy and not ready, and still answers', async (t) => {
    const { ask } = await startApi(t, { isDraining: () => true });
    for (const path of ['/healthz', '/api/health/live']) assert.equal((await ask(path)).status, 200);
    for (const path of ['/readyz', '/api/health/ready']) {
      const { status, body } = await ask(path);
      assert.deepEqual([status, JSON.parse(body)], [503, { status: 'draining' }]);
    }
    assert.equal((await ask('/api/tunnels', { token: READER })).status, 200);
  });

  test('a slip of the caller is logged for debugging only, without its query', async (t) => {
    const { ask, log } = await startApi(t);
    const { body } = await ask(`/api/${'x'.repeat(500)}?secret=1`);
    const [line] = log.lines;
    assert.deepEqual([line?.level, line?.fields.errorId], ['debug', JSON.parse(body).error_id]);
    assert.ok(!JSON.stringify(line).includes('secret'));
    assert.ok(String(line?.fields.path).length < 200);
    assert.match(String(line?.fields.remote), /^127\.0\.0\.1:\d+$/);
  });
});

test('serves the TLS sockets that a doorstep hands over', async (t) => {
  const { api } = await startApi(t);
  const { cert, key, ca } = await testCertificates();
  const listener = createServer({ cert, key }, (socket) => api.accept(socket)).listen(0, '127.0.0.1');
  t.after(() => listener.close());
  await once(listener, 'listening');
  const request = httpsRequest({
    host: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    servername: 'localhost',
    ca,
    path: '/api/clients',
    headers: { host: 'localhost', authorization: `Bearer ${READER}` },
    agent: false,
  }).end();
  const [response] = await once(request, 'response');
  assert.equal(response.statusCode, 200);
  assert.equal(JSON.parse(await text(response)).length, 2);
});
