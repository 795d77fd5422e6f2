/** The history by the Admin API: what went through a whole engine, in numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause } from '../../src/base/time.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';
import { logIn, startAdminEngine } from './ask-admin.ts';

const HOSTNAME = 'web.t.localhost';

test('requests, bytes, refusals and cryptography are told, with metrics and records switched off', async (t) => {
  const clock = createHurriedClock();
  const engine = await startAdminEngine(t, { records: { enabled: false } }, { clock });
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('x'.repeat(1_000)));
  await engine.publish(upstream, { hostname: 'web' });
  await engine.publish(upstream, { hostname: 'closed', tokenAuth: true });
  for (let i = 0; i < 3; i += 1) await fetchThrough(engine, HOSTNAME, '/');
  const token = await engine.createToken('visitor');
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await fetchThrough(engine, 'closed.t.localhost', '/', { headers })).status, 200);
  assert.equal((await fetchThrough(engine, 'closed.t.localhost', '/')).status, 401);

  const { ask } = await logIn(engine, 'owner');
  const told = async (range: string) => (await ask('GET', `/history?range=${range}`)).body;
  let hour = await told('hour');
  while (hour.passport.proof.none < 3 || hour.refusals.length < 1) {
    await pause(clock, 20);
    hour = await told('hour');
  }
  for (const name of ['requests', 'bytes_down', 'refused', 'memory_bytes', 'loop_busy', 'open_streams'])
    assert.equal(hour[name].length, hour.at.length, name);
  assert.ok(Math.max(...hour.bytes_down) > 0);
  assert.ok(Math.max(...hour.requests) > 0);
  assert.deepEqual(
    hour.refusals.map(({ code, count }: { code: string; count: number }) => [code, count]),
    [['TOKEN_MISSING', 1]],
  );
  assert.deepEqual(hour.passport.proof, { none: 3, token: 1, certificate: 0 });
  assert.ok(hour.passport.tls.tls13 >= 5);
  assert.equal(hour.records, undefined);
  assert.equal((await told('day')).at.length, 1);
  assert.equal((await ask('GET', '/history?range=year')).body.code, 'ADMIN_REQUEST_INVALID');
});
