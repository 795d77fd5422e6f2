/** One test for each published advisory of similar engines that is about proofs at the edge: its lesson, as a rule of this engine. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';
import { connectAsker, requestText } from './http-upstream.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

const GUARDED = 'guarded.t.localhost';
const OPEN = 'open.t.localhost';
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** An upstream that is published twice, guarded and open, and remembers what it was sent. */
const startBoth = async (t: TestContext, properties: TunnelProperties = { tokenAuth: true }) => {
  const seen: string[] = [];
  const upstream = await startHttpUpstream(t, (request, response) => {
    seen.push(`${request.headers.host} ${request.url} ${JSON.stringify(request.rawHeaders)}`);
    response.end('hello');
  });
  const engine = await startEngine(t);
  await engine.publish(upstream, { hostname: 'guarded', ...properties });
  await engine.publish(upstream, { hostname: 'open' });
  return { engine, seen };
};

describe('lessons of published advisories', () => {
  test('CVE-2026-40910: the value that routes is the value that is authorised, whatever else names another tunnel', async (t) => {
    const { engine, seen } = await startBoth(t);
    // The server name of one, the authority of the other, in both versions.
    const asker = await fetchThrough(engine, OPEN, '/', { headers: { host: GUARDED } });
    assert.equal(asker.status, 401);
    const session = await connectHttp2(t, engine, OPEN);
    for (const authority of [GUARDED, GUARDED.toUpperCase(), `${GUARDED}:443`, `${GUARDED}.`])
      assert.notEqual((await ask(session, { ':authority': authority })).status, 200, authority);
    for (const headers of [{ 'x-forwarded-host': OPEN }, { forwarded: `host=${OPEN}` }, { 'x-host': OPEN }])
      assert.equal((await fetchThrough(engine, GUARDED, '/', { headers })).status, 401);
    const absolute = await fetchThrough(engine, GUARDED, `https://${OPEN}/`, {});
    assert.equal(absolute.status, 400);
    assert.deepEqual(seen, []);
  });

  test('GHSA-24fp-5v3p-rvpw: a grant is checked on every request, not only when the connection opens', async (t) => {
    const { engine } = await startBoth(t, { tokenAuth: true, mtlsAuth: true });
    const token = await engine.createToken('visitor', [PERMISSIONS.manageStreams]);
    const session = await connectHttp2(t, engine, GUARDED);
    const headers = { ':authority': GUARDED, ...bearer(token) };
    assert.equal((await ask(session, headers)).status, 200);
    engine.revokeToken('visitor');
    assert.equal((await ask(session, headers)).status, 401);
    const laptop = await engine.createClientCertificate('laptop');
    const certified = await connectHttp2(t, engine, GUARDED, {}, laptop);
    assert.equal((await ask(certified, { ':authority': GUARDED })).status, 200);
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    assert.equal((await ask(certified, { ':authority': GUARDED })).status, 401);
  });

  test('CVE-2026-40302: a refusal never shows what was sent', async (t) => {
    const { engine } = await startBoth(t);
    const script = '<script>alert(1)</script>';
    for (const accept of ['text/html', 'application/json'])
      for (const [path, headers] of [
        [`/${encodeURIComponent(script)}?rstream.token=${encodeURIComponent(script)}`, { accept }],
        ['/', { accept, authorization: `Bearer ${script.replace(' ', '')}` }],
      ] as [string, Record<string, string>][]) {
        const { status, body, headers: answered } = await fetchThrough(engine, GUARDED, path, { headers });
        assert.equal(status, 401);
        assert.doesNotMatch(body, /script>alert/);
        assert.doesNotMatch(JSON.stringify(answered), /alert/);
        if (accept === 'text/html')
          assert.match(String(answered['content-security-policy']), /default-src 'none'/);
      }
  });

  test('CVE-2026-27586: who shows no certificate, or an unknown one, is never let in for it', async (t) => {
    const { engine, seen } = await startBoth(t, { mtlsAuth: true });
    assert.equal((await fetchThrough(engine, GUARDED, '/')).status, 401);
    // The engine that knows no certificate at all refuses all of them.
    const agent = await engine.connectAgent();
    await assert.rejects(agent.openTunnel({ hostname: 'own-ca', mtlsCacertPem: 'x' }), { code: 5000 });
    assert.deepEqual(seen, []);
  });

  test('CVE-2026-27588: names and schemes are compared in one case', async (t) => {
    const { engine } = await startBoth(t);
    const token = await engine.createToken('visitor');
    const headers = { host: GUARDED.toUpperCase() };
    assert.equal((await fetchThrough(engine, GUARDED, '/', { headers })).status, 401);
    const shouted = { ...headers, AUTHORIZATION: `BEARER ${token}` };
    assert.equal((await fetchThrough(engine, GUARDED, '/', { headers: shouted })).status, 200);
  });

  test('GHSA-7r4p-vjf4-gxv4: no spelling of a proof that was consumed reaches the upstream', async (t) => {
    const { engine, seen } = await startBoth(t);
    const token = await engine.createToken('visitor');
    const socket = await connectAsker(t, engine, GUARDED);
    const host = requestText('GET /?a=1').replace(/Host: .*/, `Host: ${GUARDED}`);
    await socket.ask(host.replace('\r\n\r\n', `\r\naUTHORIZATION: bEARER ${token}\r\n\r\n`), 'hello');
    await fetchThrough(engine, GUARDED, `/?%72%73tream.token=${token}`);
    await fetchThrough(engine, GUARDED, '/', {
      headers: { ...bearer(token), connection: 'close, authorization' },
    });
    assert.equal(seen.length, 3);
    assert.equal(seen.join().includes(token), false);
  });

  test('CVE-2026-2833: a body that was sent with a refused proof is never taken for a request', async (t) => {
    const { engine, seen } = await startBoth(t);
    const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${OPEN}\r\n\r\n`;
    for (const headers of [{}, bearer('nonsense')]) {
      const { status } = await fetchThrough(engine, GUARDED, '/', {
        method: 'POST',
        headers,
        body: smuggled,
      });
      assert.equal(status, 401);
    }
    assert.deepEqual(seen, []);
  });
});
