import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { forgeToken } from '../support/store.ts';
import { askApi } from './ask-api.ts';

// Each engine looks at its credentials every few seconds; the stories wait for that at the same time.
describe('a token that another process revokes', { concurrency: true }, () => {
  test('is refused by the next connection, on the wire and over HTTP', async (t) => {
    const engine = await startEngine(t);
    const token = await engine.createToken('ci');
    await engine.connectAgent({ token });
    assert.equal((await askApi(engine, '/api/auth', token)).status, 204);
    engine.revokeToken('ci');
    await assert.rejects(engine.connectAgent({ token }), { code: 1000, message: /TOKEN_REVOKED/ });
    const { status, body } = await askApi(engine, '/api/auth', token);
    assert.deepEqual([status, body.code], [401, 'TOKEN_REVOKED']);
  });

  test('ends the sessions that live by it within seconds, and no others', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent({ token: await engine.createToken('ci') });
    await agent.openTunnel({ hostname: 'web' });
    const other = await engine.connectAgent();
    await other.openTunnel({ hostname: 'other' });
    engine.revokeToken('ci');
    await agent.next('channel-closed');
    await agent.ended;
    assert.equal(engine.engine.counts().tunnels, 1);
    agent.kill();
    await eventually(() => engine.engine.counts().sessions === 1, 'its session is over');
    const [line, ...more] = engine.log.withCode('TOKEN_REVOKED');
    assert.equal(line?.fields.agentId, agent.agentId);
    assert.deepEqual(more, []);
    assert.equal((await other.openTunnel({ hostname: 'web' })).hostname, 'web.t.localhost');
  });

  test('has a like in a token that expires while its session lives', async (t) => {
    const secret = 'a-shared-secret-of-more-than-32-bytes';
    const engine = await startEngine(t, { settings: { auth: { jwt: { token_jwt_secret: secret } } } });
    // A minute of difference between clocks is forgiven: a second or two of it are left.
    const exp = Math.ceil(Date.now() / 1_000) - 58;
    const agent = await engine.connectAgent({ token: forgeToken({ claims: { exp }, key: secret }) });
    await agent.openTunnel({ hostname: 'web' });
    await agent.next('channel-closed');
    assert.equal(engine.engine.counts().tunnels, 0);
  });
});
