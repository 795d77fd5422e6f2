/** Watchers of a whole engine: agents come and go, credentials end, and the engine stops. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { describe, test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { forgeToken } from '../support/store.ts';
import { openWatcher, type TestWatcher, TRANSPORTS } from '../support/watcher.ts';
import { askApi } from './ask-api.ts';

const SECRET = '0123456789abcdef0123456789abcdef';
const READ_ONLY = [PERMISSIONS.readResources];
const SECOND_MS = 1_000;

/** What the lists of the Engine API say, as a watcher's inventory says it. */
const listed = async (engine: TestEngine, token: string) => {
  const idsOf = async (path: string): Promise<string[]> =>
    (await askApi(engine, path, token)).body.map(({ id }: { id: string }) => id).sort();
  return { clients: await idsOf('/api/clients'), tunnels: await idsOf('/api/tunnels') };
};

describe('watching', { concurrency: true }, () => {
  for (const transport of TRANSPORTS)
    test(`by ${transport}: an agent comes, opens, closes and leaves, in this order`, async (t) => {
      const engine = await startEngine(t);
      const token = await engine.createToken('watcher', READ_ONLY);
      const watcher = await openWatcher(transport, engine, { token });
      const agent = await engine.connectAgent({ clientDetails: { agent: 'probe' } });
      const { id } = await agent.openTunnel({ name: 'web', hostname: 'web' });
      await agent.openTunnel({ name: 'db', publish: false });
      agent.send({ kind: 'close-tunnel', tunnelId: String(id) });
      await agent.next('tunnel-closed');
      await agent.close();
      const [initial, ...changes] = await watcher.count(7);
      assert.deepEqual([initial?.object.clients, initial?.object.tunnels], [[], []]);
      assert.deepEqual(
        changes.map(({ type, object }) => `${type} ${object.agent ?? object.name}`),
        [
          'client.created probe',
          'tunnel.created web',
          'tunnel.created db',
          'tunnel.deleted web',
          'tunnel.deleted db',
          'client.deleted probe',
        ],
      );
      assert.equal(changes[1]?.object.hostname, 'web.t.localhost');
      assert.equal(changes[1]?.object.client_id, agent.agentId);
      watcher.close();
    });

  test('an agent that is lost is told of like one that leaves', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'web' });
    const watcher = await openWatcher('sse', engine, {
      token: await engine.createToken('watcher', READ_ONLY),
    });
    agent.kill();
    const events = await watcher.count(3);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['state.initial', 'tunnel.deleted', 'client.deleted'],
    );
    watcher.close();
  });

  test('works over HTTP/2, which the engine offers', async (t) => {
    const engine = await startEngine(t);
    const token = await engine.createToken('watcher', READ_ONLY);
    const session = connect(`https://localhost:${engine.port}`, { ca: engine.ca, host: '127.0.0.1' });
    const stream = session.request({ ':path': '/api/sse', authorization: `Bearer ${token}` });
    const [chunk] = await once(stream, 'data');
    assert.equal(session.alpnProtocol, 'h2');
    assert.match(String(chunk), /^data: \{"type":"state\.initial"/);
    session.destroy();
  });

  for (const transport of TRANSPORTS) {
    test(`by ${transport} ends within a second after its credential is revoked, and no other does`, async (t) => {
      const engine = await startEngine(t);
      const staying = await openWatcher(transport, engine, {
        token: await engine.createToken('other', READ_ONLY),
      });
      const token = await engine.createToken('watcher', READ_ONLY);
      const watcher = await openWatcher(transport, engine, { token });
      await watcher.count(1);
      const startMs = performance.now();
      engine.revokeToken('watcher');
      await watcher.ended;
      assert.ok(performance.now() - startMs < SECOND_MS);
      assert.match(watcher.comments.at(-1) ?? '', /TOKEN_REVOKED/);
      await assert.rejects(openWatcher(transport, engine, { token }), { status: 401, code: 'TOKEN_REVOKED' });
      assert.deepEqual([staying.isOver, engine.engine.counts().watchers], [false, 1]);
      staying.close();
    });

    test(`by ${transport} ends when its token expires`, async (t) => {
      const engine = await startEngine(t);
      await engine.createToken('source');
      const { token } = await engine.withCredentials((credentials) =>
        credentials.mintAuthToken({
          source: credentials.principalOf('source'),
          permissions: READ_ONLY,
          expiresInSeconds: 2,
        }),
      );
      const watcher = await openWatcher(transport, engine, { token });
      await watcher.ended;
      assert.match(watcher.comments.at(-1) ?? '', /TOKEN_EXPIRED/);
    });

    test(`by ${transport} ends first when the engine stops, and hears no more of it than that`, async (t) => {
      const engine = await startEngine(t);
      const watcher = await openWatcher(transport, engine, {
        token: await engine.createToken('watcher', READ_ONLY),
      });
      const agent = await engine.connectAgent();
      await agent.openTunnel({});
      await watcher.count(3);
      await Promise.all([engine.stop(), watcher.ended]);
      assert.equal(watcher.events.length, 3);
      assert.match(watcher.comments.at(-1) ?? '', /ENGINE_DRAINING/);
    });
  }
});

describe('a token in the URL', () => {
  const list = { tunnels: { scopes: { tunnels: { list: true } } } };
  const now = Math.floor(Date.now() / 1_000);
  const good = {
    type: 'auth',
    userId: 'usr_1',
    permissions: READ_ONLY,
    resources: list,
    iat: now,
    exp: now + 600,
  };
  const cases: readonly (readonly [name: string, claims: object, outcome: number | string])[] = [
    ['an auth token that may list', good, 200],
    ['without permissions', { ...good, permissions: null }, 200],
    ['an app token', { ...good, type: 'app', clientId: 'cli', userId: undefined }, 200],
    ['for an hour', { ...good, exp: now + 3_600 }, 200],
    ['for longer', { ...good, exp: now + 3_601 }, 'TOKEN_IN_URL'],
    ['without a type', { ...good, type: undefined }, 'TOKEN_IN_URL'],
    ['a personal access token', { ...good, type: 'pat' }, 'TOKEN_IN_URL'],
    ['without its time of issue', { ...good, iat: undefined }, 'TOKEN_IN_URL'],
    ['without resources', { ...good, resources: undefined }, 'TOKEN_IN_URL'],
    ['with another permission', { ...good, permissions: [PERMISSIONS.manageTunnels] }, 'TOKEN_IN_URL'],
    ['with more permissions', { ...good, permissions: [...READ_ONLY, 'x'] }, 'TOKEN_IN_URL'],
    ['that is over', { ...good, iat: now - 600, exp: now - 300 }, 'TOKEN_EXPIRED'],
  ];
  test('is taken from those that may do nothing but list, and by the watch endpoints only', async (t) => {
    const engine = await startEngine(t, { settings: { auth: { jwt: { token_jwt_secret: SECRET } } } });
    for (const [name, claims, outcome] of cases) {
      const query = `?rstream.token=${forgeToken({ claims, key: SECRET })}`;
      for (const transport of TRANSPORTS) {
        const opening = openWatcher(transport, engine, { query });
        if (outcome !== 200) await assert.rejects(opening, { code: outcome }, name);
        else (await opening).close();
      }
      const { status, body } = await askApi(engine, `/api/tunnels${query}`);
      assert.deepEqual([status, body.code], [401, 'TOKEN_IN_URL']);
    }
    const query = `?rstream.token=${forgeToken({ claims: good, key: 'x'.repeat(32) })}`;
    await assert.rejects(openWatcher('sse', engine, { query }), { code: 'TOKEN_INVALID' });
    assert.ok(!JSON.stringify(engine.log.lines).includes('eyJ'), 'no token is logged');
  });

  test('may be minted from a personal access token, and ends with it', async (t) => {
    const engine = await startEngine(t);
    await engine.createToken('laptop');
    const { token } = await engine.withCredentials((credentials) =>
      credentials.mintAuthToken({
        source: credentials.principalOf('laptop'),
        permissions: READ_ONLY,
        expiresInSeconds: 600,
        resources: list,
      }),
    );
    const watcher = await openWatcher('websocket', engine, { query: `?rstream.token=${token}` });
    engine.revokeToken('laptop');
    await watcher.ended;
    assert.deepEqual(watcher.comments, ['1008 TOKEN_REVOKED']);
  });
});

test('10,000 tunnels open and close: 50 watchers that came before, during and after agree with the lists', async (t) => {
  const engine = await startEngine(t);
  const token = await engine.createToken('watcher', READ_ONLY);
  const watchers: TestWatcher[] = [];
  // Most watchers look at a part, as they do: a page for a team.
  const shards = [undefined, ...Array.from({ length: 9 }, (_, shard) => `${shard}`)];
  const queries = shards.map((shard) => {
    const params = shard === undefined ? {} : { tunnels: { labels: { shard } } };
    return `?params=${encodeURIComponent(JSON.stringify(params))}`;
  });
  const watchMore = async () => {
    const transports = Array.from({ length: 10 }, (_, i) => TRANSPORTS[i % 2]!);
    const opening = transports.map((transport, i) =>
      openWatcher(transport, engine, { token, query: queries[i]! }),
    );
    watchers.push(...(await Promise.all(opening)));
  };
  const agents = await Promise.all(Array.from({ length: 10 }, () => engine.connectAgent()));
  for (let round = 0; round < 50; round++) {
    if (round % 12 === 0) await watchMore();
    const working = agents.map(async (agent, i) => {
      const opening = Array.from({ length: 20 }, (_, n) =>
        agent.openTunnel({ publish: false, labels: { shard: `${(i + n) % 10}` } }),
      );
      const opened = await Promise.all(opening);
      // The last round leaves some open.
      const closing = round === 49 ? opened.slice(0, 10) : opened;
      for (const { id } of closing) agent.send({ kind: 'close-tunnel', tunnelId: String(id) });
      for (const _ of closing) await agent.next('tunnel-closed');
    });
    await Promise.all(working);
  }
  agents[0]?.kill();
  await eventually(() => engine.engine.counts().sessions === 9, 'the agent is gone');
  const inventory = await listed(engine, token);
  assert.equal(inventory.tunnels.length, 90);
  const shardOf = new Map<string, string>(
    (await askApi(engine, '/api/tunnels', token)).body.map(
      ({ id, labels }: { id: string; labels: { shard: string } }) => [id, labels.shard],
    ),
  );
  assert.equal(watchers.length, 50);
  for (const [i, watcher] of watchers.entries()) {
    const shard = shards[i % 10];
    const tunnels = inventory.tunnels.filter((id) => shard === undefined || shardOf.get(id) === shard);
    // Their last event is the end of the lost agent.
    await eventually(() => watcher.events.at(-1)?.type === 'client.deleted', `watcher ${i} has heard all`);
    assert.deepEqual(watcher.inventory(), { clients: inventory.clients, tunnels }, `watcher ${i}`);
    watcher.close();
  }
  assert.equal(engine.log.withCode('WATCHER_SLOW').length, 0);
});
