/** The metrics listener answers scrapers, and nobody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createMetricsServer } from '../../src/api/metrics-server.ts';
import { createMetrics } from '../../src/base/metric-numbers.ts';
import { Secret } from '../../src/base/secret.ts';
import { createLogRecorder } from '../support/log.ts';

const start = async (
  t: TestContext,
  {
    token,
    metrics = createMetrics(),
  }: { token?: string; metrics?: Parameters<typeof createMetricsServer>[0]['metrics'] } = {},
) => {
  const log = createLogRecorder();
  const bearerToken = token === undefined ? undefined : new Secret(token);
  const server = createMetricsServer({ log, metrics }, { path: '/metrics', bearerToken }).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { log, ask: (path = '/metrics', init: RequestInit = {}) => fetch(`${origin}${path}`, init) };
};

test('a scrape gets the text format of Prometheus', async (t) => {
  const { ask } = await start(t);
  const answer = await ask('/metrics?format=prometheus');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.match(await answer.text(), /^# HELP rstream_engine_sessions /);
});

test('other paths and methods are refused', async (t) => {
  const { ask } = await start(t);
  for (const path of ['/', '/metrics/', '/metrics/x', '/METRICS'])
    assert.equal((await ask(path)).status, 404);
  for (const method of ['POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await ask('/metrics', { method });
    assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'GET']);
  }
});

describe('with a token', () => {
  const bearer = (text: string): RequestInit => ({ headers: { authorization: text } });

  test('who sends it is answered', async (t) => {
    const { ask } = await start(t, { token: 'scrape-me' });
    for (const scheme of ['Bearer', 'bearer'])
      assert.equal((await ask('/metrics', bearer(`${scheme} scrape-me`))).status, 200);
  });

  test('nobody else learns anything, not even which path there is', async (t) => {
    const { ask } = await start(t, { token: 'scrape-me' });
    const attempts = [
      {},
      bearer('Bearer wrong'),
      bearer('Bearer'),
      bearer('scrape-me'),
      bearer('Basic scrape-me'),
    ];
    for (const path of ['/metrics', '/other', '/metrics?token=scrape-me'])
      for (const attempt of attempts) {
        const answer = await ask(path, attempt);
        assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Bearer']);
        assert.equal(await answer.text(), '');
      }
  });
});

test('a fault while rendering is a 500 and a line in the log', async (t) => {
  const render = () => Promise.reject(new Error('a bug'));
  const { ask, log } = await start(t, { metrics: { render, contentType: 'text/plain' } });
  assert.equal((await ask()).status, 500);
  assert.equal(log.lines[0]?.level, 'error');
});
