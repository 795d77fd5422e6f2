/** Watchers over real sockets, by either transport. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { eventually } from '../support/eventually.ts';
import { openWatcher, TRANSPORTS, type WatchAsk } from '../support/watcher.ts';
import { AGENTS, ownerOf, READER, startApi, turn, until } from './start-api.ts';

const FIRST = ownerOf(AGENTS[0]!);

const encoded = (params: object) => `?params=${encodeURIComponent(JSON.stringify(params))}`;

for (const transport of TRANSPORTS)
  describe(`a watcher by ${transport}`, () => {
    test('gets the inventory and then the changes, of what it asked for', async (t) => {
      const { registry, port } = await startApi(t);
      const ask = {
        token: READER,
        query: encoded({ tunnels: { labels: { env: null } }, clients: { os: 'linux' } }),
      };
      const watcher = await openWatcher(transport, { port }, ask);
      registry.open(FIRST, {});
      const { id } = registry.open(FIRST, { labels: { env: 'dev' } });
      const [initial, created] = await watcher.count(2);
      assert.deepEqual(
        initial?.object.clients.map((client) => client.id),
        ['cli_first'],
      );
      assert.deepEqual([created?.type, created?.object.id], ['tunnel.created', id]);
      assert.equal(watcher.events.length, 2);
    });

    test('lives longer than an answer may take, with a sign of life every watchKeepAliveMs', async (t) => {
      const { api, clock, registry, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      const signs = () => (transport === 'sse' ? watcher.comments.length : watcher.pings);
      for (let i = 1; i <= 8; i++) {
        clock.advance(LIMITS.watchKeepAliveMs);
        await eventually(() => signs() === i, 'a sign of life');
      }
      registry.open(FIRST, {});
      await watcher.count(2);
      assert.equal(api.watcherCount, 1);
    });

    test('that leaves is forgotten, with its timer', async (t) => {
      const { api, clock, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      watcher.close();
      await until(() => api.watcherCount === 0 && api.connectionCount === 0);
      assert.equal(clock.pendingCount, 0);
    });

    test('is told that the engine stops, and close waits until it has gone', async (t) => {
      const { api, clock, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      await Promise.all([api.close(), watcher.ended]);
      assert.deepEqual(watcher.comments, [
        transport === 'sse' ? ': ENGINE_DRAINING' : '1001 ENGINE_DRAINING',
      ]);
      assert.deepEqual([api.watcherCount, api.connectionCount, clock.pendingCount], [0, 0, 0]);
    });

    test('is told that its credential is over', async (t) => {
      const { api, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      api.recheck(() => false);
      await watcher.ended;
      assert.deepEqual(watcher.comments, [transport === 'sse' ? ': TOKEN_REVOKED' : '1008 TOKEN_REVOKED']);
    });

    test('that does not read is cut, and reads why once it does', async (t) => {
      const { api, registry, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      watcher.pause();
      const labels = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`k${i}`, 'x'.repeat(1_000)]));
      while (api.slowWatcherCount === 0) {
        for (let i = 0; i < 20; i++) registry.close(registry.open(FIRST, { labels }).id);
        await turn();
      }
      watcher.resume();
      await watcher.ended;
      assert.deepEqual(watcher.comments, [transport === 'sse' ? ': WATCHER_SLOW' : '1013 WATCHER_SLOW']);
      watcher.inventory();
    });

    test('that is told to end and does not read is cut after lingerMsMax', async (t) => {
      const { api, clock, registry, port } = await startApi(t);
      const watcher = await openWatcher(transport, { port }, { token: READER });
      await watcher.count(1);
      watcher.pause();
      // More than the kernel takes for a socket that nobody reads.
      const labels = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`k${i}`, 'x'.repeat(1_000)]));
      for (let i = 0; i < 400; i++) registry.open(FIRST, { labels });
      await turn();
      api.recheck(() => false);
      clock.advance(LIMITS.lingerMsMax);
      await until(() => api.watcherCount === 0 && api.connectionCount === 0);
    });

    const refusals: readonly (readonly [name: string, ask: WatchAsk, status: number, code: string])[] = [
      ['no token', {}, 401, 'TOKEN_MISSING'],
      ['an empty token in the URL', { query: '?rstream.token=' }, 401, 'TOKEN_MISSING'],
      ['two tokens in the URL', { query: '?rstream.token=a&rstream.token=a' }, 401, 'TOKEN_INVALID'],
      [
        'tokens in URL and header',
        { token: READER, query: `?rstream.token=${READER}` },
        401,
        'TOKEN_INVALID',
      ],
      ['a token in the URL that may not stand there', { query: '?rstream.token=pat' }, 401, 'TOKEN_IN_URL'],
      ['a token without the permission', { token: 'agent-token' }, 403, 'PERMISSION_MISSING'],
      [
        'a filter that is not understood',
        { token: READER, query: encoded({ filters: {} }) },
        400,
        'PARAMS_INVALID',
      ],
      ['a limit', { token: READER, query: encoded({ limit: 1 }) }, 400, 'PARAMS_INVALID'],
    ];
    for (const [name, ask, status, code] of refusals)
      test(`${name} is a ${status}`, async (t) => {
        const { api, port, log } = await startApi(t, {
          verifyQueryToken: async (token) => {
            throw token ? fail('TOKEN_IN_URL') : fail('TOKEN_MISSING');
          },
        });
        await assert.rejects(openWatcher(transport, { port }, ask), { status, code });
        assert.ok(!JSON.stringify(log.lines).includes('rstream.token'));
        assert.equal(api.watcherCount, 0);
      });
  });

test('1,000 watchers at once all see the same, and leave nothing behind', { timeout: 60_000 }, async (t) => {
  const { api, clock, registry, port } = await startApi(t);
  const ask = { token: READER };
  const watchers = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => openWatcher(TRANSPORTS[i % 2]!, { port }, ask)),
  );
  assert.equal(api.watcherCount, 1_000);
  for (let i = 0; i < 10; i++) registry.open(FIRST, { name: `t${i}`, publish: false });
  await Promise.all(watchers.map((watcher) => watcher.count(11)));
  const ids = registry.list().map(({ id }) => id);
  for (const watcher of watchers) assert.deepEqual(watcher.inventory().tunnels, [...ids].sort());
  for (const watcher of watchers) watcher.close();
  await eventually(() => api.connectionCount === 0, 'all have left');
  assert.deepEqual([api.watcherCount, clock.pendingCount], [0, 0]);
});

describe('server-sent events', () => {
  test('are not kept, by caches or proxies, and may be read by pages of any origin', async (t) => {
    const { port } = await startApi(t);
    const { headers } = await openWatcher('sse', { port }, { token: READER });
    assert.equal(headers['content-type'], 'text/event-stream');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-accel-buffering'], 'no');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.ok(!('access-control-allow-credentials' in headers));
  });

  test('HEAD has the head and no watcher', async (t) => {
    const { api, ask } = await startApi(t);
    const { status, headers } = await ask('/api/sse', { method: 'HEAD', token: READER });
    assert.deepEqual([status, headers['content-type']], [200, 'text/event-stream']);
    assert.equal(api.watcherCount, 0);
  });

  test('behind a pipelined request go on, without a deadline', async (t) => {
    const { api, clock, say } = await startApi(t);
    const { socket } = await say(
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /api/sse HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${READER}\r\n\r\n`,
    );
    await until(() => api.watcherCount === 1);
    clock.advance(2 * LIMITS.apiAnswerMsMax);
    assert.equal(api.watcherCount, 1);
    socket.destroy();
    await until(() => api.watcherCount === 0);
  });
});

test('only the watch endpoints and the document are for pages of other origins', async (t) => {
  const { ask } = await startApi(t);
  const isOpen = async (path: string) =>
    (await ask(path, { headers: { origin: 'https://a.test' } })).headers['access-control-allow-origin'] ===
    '*';
  for (const path of ['/api/openapi.json', '/api/sse', '/api/websocket']) assert.ok(await isOpen(path), path);
  for (const path of ['/api/tunnels', '/api/clients', '/api/auth', '/', '/healthz', '/api/sse/'])
    assert.ok(!(await isOpen(path)), path);
});

describe('a WebSocket', () => {
  const connect = async (port: number) => {
    const webSocket = new WebSocket(`ws://127.0.0.1:${port}/api/websocket`, {
      headers: { authorization: `Bearer ${READER}`, origin: 'https://a.test' },
      autoPong: false,
    });
    webSocket.on('error', () => {});
    await once(webSocket, 'message');
    return webSocket;
  };

  test('has its pings answered, and what it says is ignored', async (t) => {
    const { port } = await startApi(t);
    const webSocket = await connect(port);
    webSocket.send('hello');
    webSocket.ping('beat');
    const [payload] = await once(webSocket, 'pong');
    assert.equal(String(payload), 'beat');
    webSocket.terminate();
  });

  test('that says more than watchMessageBytesMax is closed', async (t) => {
    const { port } = await startApi(t);
    const webSocket = await connect(port);
    webSocket.send('x'.repeat(LIMITS.watchMessageBytesMax + 1));
    const [code] = await once(webSocket, 'close');
    assert.equal(code, 1009);
  });

  test('that answers no ping is gone after watchSilenceMsMax', async (t) => {
    const { api, clock, port } = await startApi(t);
    const webSocket = await connect(port);
    clock.advance(LIMITS.watchSilenceMsMax);
    assert.equal(api.watcherCount, 1);
    clock.advance(2 * LIMITS.watchKeepAliveMs);
    await once(webSocket, 'close');
    assert.equal(clock.pendingCount, 0);
  });

  const HANDSHAKE = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const cases: readonly (readonly [name: string, headers: Record<string, string>, status: number])[] = [
    ['no upgrade', {}, 426],
    ['another protocol', { ...HANDSHAKE, upgrade: 'h2c' }, 426],
    ['another version', { ...HANDSHAKE, 'sec-websocket-version': '8' }, 400],
    ['a key of another length', { ...HANDSHAKE, 'sec-websocket-key': 'AAAA' }, 400],
  ];
  for (const [name, headers, status] of cases)
    test(`with ${name} is a ${status}, and its connection ends or is good for more`, async (t) => {
      const { api, ask } = await startApi(t);
      const answer = await ask('/api/websocket', { token: READER, headers });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.upgrade, status === 426 ? 'websocket' : undefined);
      assert.equal(api.watcherCount, 0);
      if (headers.upgrade) await until(() => api.connectionCount === 0);
      else assert.equal((await ask('/healthz')).status, 200);
    });

  test('behind a request that waits for its answer is cut', async (t) => {
    const { api, say } = await startApi(t, { verifyToken: () => new Promise(() => {}) });
    const { received } = await say(
      'GET /api/auth HTTP/1.1\r\nhost: localhost\r\n\r\nGET /api/websocket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    );
    assert.equal(await received, '');
    assert.equal(api.connectionCount, 0);
  });
});
