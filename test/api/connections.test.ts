/** Connections that are slow, broken, idle or in the way of a stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { READER, startApi, turn, until } from './start-api.ts';

const GET = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n';

type Countable = { readonly connectionCount: number };

/** The API takes a connection a turn of the loop after the caller is connected. */
const taken = (api: Countable, count = 1) => until(() => api.connectionCount === count);

/** A token check that never ends, and whether it began. */
const createStuckCheck = () => {
  const check = {
    hasBegun: false,
    verifyToken: () => {
      check.hasBegun = true;
      return new Promise<never>(() => {});
    },
  };
  return check;
};

describe('deadlines', () => {
  test('a request that never ends is cut after apiRequestMsMax, however often it sends a byte', async (t) => {
    const { api, clock, say } = await startApi(t);
    const { socket, received } = await say(GET);
    await taken(api);
    clock.advance(LIMITS.apiRequestMsMax - 1);
    socket.write('x: y\r\n');
    assert.equal(api.connectionCount, 1);
    clock.advance(1);
    assert.equal(await received, '');
    await taken(api, 0);
    assert.equal(clock.pendingCount, 0);
  });

  test('an idle connection is cut after apiIdleMsMax, and each answer starts that time anew', async (t) => {
    const { api, clock, say } = await startApi(t);
    const { socket, received } = await say('');
    for (const _ of [1, 2]) {
      socket.write(`${GET}\r\n`);
      await once(socket, 'data');
      await turn();
      clock.advance(LIMITS.apiIdleMsMax - 1);
      assert.equal(api.connectionCount, 1);
    }
    clock.advance(1);
    assert.equal((await received).match(/HTTP\/1\.1 200/g)?.length, 2);
  });

  test('an answer that takes longer than apiAnswerMsMax is given up', async (t) => {
    const check = createStuckCheck();
    const { api, clock, say } = await startApi(t, check);
    const { received } = await say(`GET /api/auth HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await until(() => check.hasBegun);
    clock.advance(LIMITS.apiAnswerMsMax - 1);
    assert.equal(api.connectionCount, 1);
    clock.advance(1);
    assert.equal(await received, '');
    await taken(api, 0);
  });
});

describe('bytes that are no request', () => {
  const cases: readonly (readonly [name: string, bytes: string, status: number, code: string])[] = [
    ['garbage', '\u0016\u0003\u0001 nonsense\r\n\r\n', 400, 'REQUEST_MALFORMED'],
    [
      'length and chunks at once',
      `${GET}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
      400,
      'REQUEST_MALFORMED',
    ],
    [
      'a head beyond requestHeadBytesMax',
      `${GET}x: ${'y'.repeat(LIMITS.requestHeadBytesMax)}\r\n\r\n`,
      431,
      'REQUEST_HEAD_TOO_LARGE',
    ],
  ];
  for (const [name, bytes, status, code] of cases)
    test(`${name} get ${status}, a line in the log and the end of the connection`, async (t) => {
      const { api, say, log } = await startApi(t);
      const { received } = await say(bytes);
      const [head = '', body = ''] = (await received).split('\r\n\r\n');
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} .*\r\n`));
      assert.equal(JSON.parse(body).code, code);
      assert.equal(log.withCode(code)[0]?.fields.errorId, JSON.parse(body).error_id);
      await taken(api, 0);
    });

  test('a request without Host is refused', async (t) => {
    const { say } = await startApi(t);
    const { received } = await say('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n');
    assert.match(await received, /^HTTP\/1\.1 400 /);
  });
});

test('pipelined requests are answered in their order', async (t) => {
  const { say } = await startApi(t);
  const { received } = await say(
    `GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n${GET}connection: close\r\n\r\n`,
  );
  assert.match(await received, /"ready"[\s\S]*"ok"/);
});

describe('the end', () => {
  test('close lets the answer under way finish, ends idle connections and takes no new ones', async (t) => {
    let admitCaller = () => {};
    const admitted = new Promise<void>((resolve) => {
      admitCaller = resolve;
    });
    let hasAsked = false;
    const { api, clock, say } = await startApi(t, {
      verifyToken: async () => {
        hasAsked = true;
        await admitted;
        throw fail('TOKEN_EXPIRED');
      },
    });
    const idle = await say('');
    const busy = await say('GET /api/auth HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await taken(api, 2);
    await until(() => hasAsked);

    const closed = api.close();
    assert.equal(await idle.received, '');
    const late = await say(`${GET}\r\n`);
    assert.equal(await late.received, '');
    admitCaller();
    assert.match(await busy.received, /^HTTP\/1\.1 401 [\s\S]*TOKEN_EXPIRED/);
    await closed;
    await api.close();
    assert.deepEqual([api.connectionCount, clock.pendingCount], [0, 0]);
  });

  test('destroy ends everything now', async (t) => {
    const check = createStuckCheck();
    const { api, clock, say } = await startApi(t, check);
    const busy = await say('GET /api/auth HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await until(() => check.hasBegun);
    api.destroy();
    assert.equal(await busy.received, '');
    await api.close();
    assert.deepEqual([api.connectionCount, clock.pendingCount], [0, 0]);
  });

  test('a caller that leaves before its answer leaves nothing behind', async (t) => {
    const { api, clock, say, ask } = await startApi(t);
    const { socket } = await say(`GET /api/tunnels HTTP/1.1\r\nhost: localhost\r\n`);
    await taken(api);
    socket.destroy();
    await taken(api, 0);
    assert.equal(clock.pendingCount, 0);
    assert.equal((await ask('/api/tunnels', { token: READER })).status, 200);
  });
});
