import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';

const ID = /^tun_[0-9a-z]{20}$/;

describe('the reply to a tunnel request', () => {
  test('completes a request that names nothing, as `rstream forward 8080` sends it', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const { id, creationDate, hostname, ...rest } = await agent.openTunnel({});
    assert.match(id ?? '', ID);
    assert.ok(Math.abs((creationDate ?? 0) - Date.now()) < 60_000);
    assert.match(hostname ?? '', /^[0-9a-z]{6}\.t\.localhost$/);
    assert.deepEqual(rest, {
      type: 'bytestream',
      publish: true,
      protocol: 'http',
      httpVersion: 'http/1.1',
      port: engine.port,
      host: `${hostname}:${engine.port}`,
    });
  });

  test('makes the automatic hostname readable where the tunnel has a name', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const { hostname } = await agent.openTunnel({ name: 'My Café (2)' });
    assert.match(hostname ?? '', /^my-cafe-2-[0-9a-z]{6}\.t\.localhost$/);
  });

  test('echoes what was asked for', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const asked = {
      name: 'shop',
      hostname: 'shop',
      labels: { team: 'web', empty: '' },
      tokenAuth: false,
      rstreamAuth: false,
      challengeMode: false,
    };
    const reply = await agent.openTunnel(asked);
    assert.deepEqual({ ...reply, hostname: 'shop' }, { ...reply, ...asked });
    assert.equal(reply.hostname, 'shop.t.localhost');
  });

  test('says the port that downstreams use, where something maps it', async (t) => {
    const engine = await startEngine(t, {
      settings: { tls: { listen_addr: '127.0.0.1:0', public_port: 443 } },
    });
    const agent = await engine.connectAgent();
    const { port, host } = await agent.openTunnel({ hostname: 'web' });
    assert.deepEqual([port, host], [443, 'web.t.localhost']);
  });

  test('of a private tunnel has no address', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const { id, creationDate, ...rest } = await agent.openTunnel({
      publish: false,
      name: 'database',
      protocol: 'tls',
    });
    assert.match(id ?? '', ID);
    assert.ok(creationDate);
    assert.deepEqual(rest, { type: 'bytestream', publish: false, name: 'database', protocol: 'tls' });
  });

  test('keeps the type of a datagram tunnel, by which Go makes a packet listener', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const reply = await agent.openTunnel({ publish: false, name: 'dns', type: 'datagram' });
    assert.equal(reply.type, 'datagram');
  });
});

describe('a hostname', () => {
  const FORMS = {
    web: 'web.t.edge.example.test',
    'WEB.t.Edge.Example.Test.': 'web.t.edge.example.test',
    // What the official CLI asks for (protocol.md 7.5).
    'r1a2b3c4d-edge.t.example.test': 'r1a2b3c4d-edge.t.edge.example.test',
  };
  for (const [asked, given] of Object.entries(FORMS))
    test(`${asked} becomes ${given}`, async (t) => {
      const engine = await startEngine(t, { settings: { engine: { host: 'edge.example.test' } } });
      const agent = await engine.connectAgent({ serverName: 'edge.example.test' });
      assert.equal((await agent.openTunnel({ hostname: asked })).hostname, given);
    });

  test('outside of the engine is refused, and the session goes on', async (t) => {
    const engine = await startEngine(t, { settings: { engine: { host: 'edge.example.test' } } });
    const agent = await engine.connectAgent({ serverName: 'edge.example.test' });
    for (const hostname of ['a.b.t.edge.example.test', 'web.elsewhere.test', '-web', 'edge.example.test'])
      await assert.rejects(agent.openTunnel({ hostname }), { code: 2000, message: /HOSTNAME_INVALID/ });
    await agent.openTunnel({ hostname: 'web' });
  });
});

describe('a name that is taken', () => {
  test('is refused to another credential, by the texts that older clients know', async (t) => {
    const engine = await startEngine(t);
    const owner = await engine.connectAgent();
    await owner.openTunnel({ name: 'shop', hostname: 'shop' });
    const rival = await engine.connectAgent({ token: await engine.createToken('rival') });
    await assert.rejects(rival.openTunnel({ hostname: 'shop' }), {
      code: 8000,
      message: 'Hostname is already in use.',
    });
    await assert.rejects(rival.openTunnel({ name: 'shop', publish: false }), {
      code: 8000,
      message: 'Tunnel name is already in use.',
    });
    assert.equal(engine.engine.counts().tunnels, 1);
  });

  test('is refused to the session that has it', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'shop' });
    await assert.rejects(agent.openTunnel({ hostname: 'shop' }), { code: 8000 });
  });

  test('is free for everybody as soon as its tunnel is closed', async (t) => {
    const engine = await startEngine(t);
    const owner = await engine.connectAgent();
    const { id = '' } = await owner.openTunnel({ name: 'shop', hostname: 'shop' });
    owner.send({ kind: 'close-tunnel', tunnelId: id });
    assert.deepEqual(await owner.next('tunnel-closed'), { kind: 'tunnel-closed', tunnelId: id });
    const rival = await engine.connectAgent({ token: await engine.createToken('rival') });
    const { hostname } = await rival.openTunnel({ name: 'shop', hostname: 'shop' });
    assert.equal(hostname, 'shop.t.localhost');
  });
});

test('closing a tunnel is reported once, and an id of somebody else closes nothing', async (t) => {
  const engine = await startEngine(t);
  const [agent, other] = [await engine.connectAgent(), await engine.connectAgent()];
  const { id = '' } = await agent.openTunnel({});
  const foreign = await other.openTunnel({});
  for (const tunnelId of [foreign.id ?? '', 'tun_unknown', id, id])
    agent.send({ kind: 'close-tunnel', tunnelId });
  await agent.openTunnel({});
  assert.deepEqual(agent.unread, [{ kind: 'tunnel-closed', tunnelId: id }]);
  assert.equal(engine.engine.counts().tunnels, 2);
});

test('many requests on one channel are answered once each', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  const replies = await Promise.all(Array.from({ length: 50 }, () => agent.openTunnel({})));
  assert.equal(new Set(replies.map(({ id }) => id)).size, 50);
  assert.equal(new Set(replies.map(({ hostname }) => hostname)).size, 50);
  assert.deepEqual(agent.unread, []);
});

test('what this engine does not do is refused by name, with 5000', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  for (const [property, name] of [
    [{ rstreamAuth: true }, 'rstream_auth'],
    [{ challengeMode: true }, 'challenge_mode'],
    [{ protocol: 'webtty' }, 'webtty'],
    [{ protocol: 'quic' }, 'quic'],
  ] as const)
    await assert.rejects(agent.openTunnel(property), { code: 5000, message: new RegExp(name) });
  await eventually(() => engine.engine.counts().tunnels === 0, 'nothing is open');
});
