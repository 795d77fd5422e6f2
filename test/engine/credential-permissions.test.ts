import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { startEngine } from '../support/engine.ts';
import { askApi } from './ask-api.ts';

test('a token that may only read lists what is there and opens nothing', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent({ clientDetails: { agent: 'rstream-go', version: '1.28.2' } });
  const { id, hostname } = await agent.openTunnel({ name: 'shop', hostname: 'shop' });
  const token = await engine.createToken('reader', [PERMISSIONS.readResources]);

  const clients = await askApi(engine, '/api/clients', token);
  assert.equal(clients.status, 200);
  assert.equal(clients.body.length, 1);
  assert.deepEqual(
    { ...clients.body[0] },
    { ...clients.body[0], id: agent.agentId, status: 'online', agent: 'rstream-go', version: '1.28.2' },
  );
  const tunnels = await askApi(engine, '/api/tunnels', token);
  assert.equal(tunnels.body.length, 1);
  const [tunnel] = tunnels.body;
  assert.deepEqual(
    [tunnel.id, tunnel.client_id, tunnel.name, tunnel.hostname, tunnel.port],
    [id, agent.agentId, 'shop', hostname, engine.port],
  );
  assert.deepEqual((await askApi(engine, `/api/tunnels/${id}`, token)).body, tunnel);

  await assert.rejects(engine.connectAgent({ token }), {
    code: 1000,
    message: /tunnels\.tunnels\.create-delete/,
  });
});

describe('the Engine API refuses', () => {
  test('with 401 whoever has no token, and says how to send one', async (t) => {
    const engine = await startEngine(t);
    const { status, headers, body } = await askApi(engine, '/api/tunnels');
    assert.deepEqual([status, body.code], [401, 'TOKEN_MISSING']);
    assert.match(headers['www-authenticate'] ?? '', /^Bearer /);
  });

  test('with 401 a token that is wrong, or in the URL', async (t) => {
    const engine = await startEngine(t);
    const good = await engine.createToken('good');
    assert.equal((await askApi(engine, '/api/tunnels', 'wrong')).body.code, 'TOKEN_INVALID');
    const { status, body } = await askApi(engine, `/api/tunnels?rstream.token=${good}`);
    assert.deepEqual([status, body.code], [401, 'TOKEN_IN_URL']);
    assert.ok(!JSON.stringify(engine.log.lines).includes(good));
  });

  test('with 403 a token that may do other things, but lets it prove itself', async (t) => {
    const engine = await startEngine(t);
    const token = await engine.createToken('agent', [PERMISSIONS.manageTunnels]);
    const { status, body } = await askApi(engine, '/api/clients', token);
    assert.deepEqual([status, body.code], [403, 'PERMISSION_MISSING']);
    assert.match(body.error, /tunnels\.resources\.read-only/);
    assert.equal((await askApi(engine, '/api/auth', token)).status, 204);
  });
});
