/** WebSockets in all four pairings of HTTP/1.1 and HTTP/2 (RFC 6455, RFC 8441): `ws` at both ends, over either version. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { RawData, WebSocket } from 'ws';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { HOSTNAME } from './http-upstream.ts';
import {
  type Asked,
  nothingIsLeft,
  openHttp2,
  openSocket,
  PAIRINGS,
  publishAs,
  responseOf,
  startHttp2Upstream,
  startSocketUpstream,
} from './switch-ends.ts';

const SOCKET = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/socket' };

const echo = (socket: WebSocket) =>
  void socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));

const nextMessage = async (socket: WebSocket): Promise<[RawData, boolean]> =>
  (await once(socket, 'message')) as [RawData, boolean];

for (const [down, up] of PAIRINGS)
  describe(`a WebSocket that comes over ${down} and goes on over ${up}`, () => {
    test('carries text, binary, large and many messages', async (t) => {
      const engine = await publishAs(t, await startSocketUpstream(t, up, echo), up);
      const { socket, status } = await openSocket(t, engine, down);
      assert.equal(status, down === 'h1' ? 101 : 200);
      socket.send('hello-ws');
      assert.deepEqual(await nextMessage(socket), [Buffer.from('hello-ws'), false]);
      for (const size of [0, 125, 126, 65_536, 4_194_304]) {
        const bytes = randomBytes(size);
        socket.send(bytes);
        const [data, isBinary] = await nextMessage(socket);
        assert.ok(isBinary && bytes.equals(data as Buffer), `${size} bytes`);
      }
      let count = 0;
      socket.on('message', () => {
        count += 1;
      });
      for (let index = 0; index < 500; index += 1) socket.send(`message ${index}`);
      await eventually(() => count === 500, 'every message comes back');
      socket.close();
      await once(socket, 'close');
    });

    test('tells each end why the other closed', async (t) => {
      const ends: unknown[][] = [];
      const upstream = await startSocketUpstream(t, up, (server) => {
        server.on('close', (code, reason) => ends.push([code, String(reason)]));
        server.on('message', () => server.close(4_002, 'told to'));
      });
      const engine = await publishAs(t, upstream, up);
      const { socket: told } = await openSocket(t, engine, down);
      const { socket: leaving } = await openSocket(t, engine, down);
      told.send('close');
      assert.deepEqual(await once(told, 'close'), [4_002, Buffer.from('told to')]);
      leaving.close(4_001, 'leaving');
      await once(leaving, 'close');
      await eventually(() => ends.length === 2, 'both have ended');
      assert.deepEqual(ends, [
        [4_002, 'told to'],
        [4_001, 'leaving'],
      ]);
    });

    test('keeps authority, Origin, subprotocol and extensions as they were asked for', async (t) => {
      let asked: Asked | undefined;
      const onConnection = (_socket: WebSocket, seen: Asked) => {
        asked = seen;
      };
      const upstream = await startSocketUpstream(t, up, onConnection, { subprotocol: 'chat.v2' });
      const engine = await publishAs(t, upstream, up);
      for (const authority of [HOSTNAME, `${HOSTNAME}:${engine.port}`]) {
        const origin = `https://${authority}`;
        const headers = {
          origin,
          'sec-websocket-protocol': 'chat.v1, chat.v2',
          'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
        };
        const answer = await openSocket(t, engine, down, { authority, headers });
        assert.equal(answer.headers['sec-websocket-protocol'], 'chat.v2');
        assert.equal(asked?.host, authority, 'the upstream compares it with the host of Origin');
        const seen = asked?.headers ?? {};
        assert.equal(seen.origin, origin);
        assert.match(seen['sec-websocket-protocol'] ?? '', /^chat\.v1, ?chat\.v2$/);
        assert.match(seen['sec-websocket-extensions'] ?? '', /permessage-deflate; client_max_window_bits/);
        assert.equal(seen['sec-websocket-version'], '13');
        assert.equal(seen['x-forwarded-proto'], 'https');
        assert.equal('sec-websocket-key' in seen, up === 'h1');
        assert.equal('sec-websocket-accept' in answer.headers, down === 'h1');
        asked = undefined;
      }
    });

    test('that is refused is an ordinary answer, and the tunnel goes on', async (t) => {
      const upstream = await startSocketUpstream(t, up, echo, { isClosed: true });
      const engine = await publishAs(t, upstream, up);
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const answer = await openSocket(t, engine, down);
        assert.equal(answer.status, 403);
        assert.equal(answer.headers['x-reason'], 'mood');
        assert.equal(await answer.body(), 'not you');
      }
    });

    for (const gone of ['downstream', 'upstream'] as const)
      test(`ends for one end when the ${gone} is gone without a word`, async (t) => {
        let server: WebSocket | undefined;
        const upstream = await startSocketUpstream(t, up, (socket) => {
          server = socket;
        });
        const engine = await publishAs(t, upstream, up);
        const { socket } = await openSocket(t, engine, down);
        await eventually(() => server !== undefined, 'the upstream has it');
        const [dying, other] = gone === 'upstream' ? [server!, socket] : [socket, server!];
        const closed = once(other, 'close');
        dying.terminate();
        assert.equal((await closed)[0], 1_006);
        if (down === 'h1') await nothingIsLeft(engine);
      });
  });

test('no WebSocket is cut while it says nothing for longer than requests may', async (t) => {
  const timeouts = {
    http_idle_seconds: 1,
    http_response_seconds: 1,
    request_body_idle_seconds: 1,
    drain_seconds: 0,
  };
  await Promise.all(
    PAIRINGS.map(async ([down, up]) => {
      const engine = await publishAs(t, await startSocketUpstream(t, up, echo), up, {
        settings: { timeouts },
      });
      const { socket } = await openSocket(t, engine, down);
      // Connections that do end for their silence tell that the time is over, with a sweep or two to spare.
      for (let count = 0; count < 2; count += 1) await once(await openHttp2(t, engine), 'close');
      socket.send('still here');
      assert.deepEqual(await nextMessage(socket), [Buffer.from('still here'), false]);
    }),
  );
});

describe('an upstream of HTTP/2 without extended CONNECT', () => {
  test('gets WebSockets as HTTP/1.1 on streams of their own, and requests as HTTP/2', async (t) => {
    const sockets = await startSocketUpstream(t, 'h1', echo);
    const requests = await startHttp2Upstream(
      t,
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.end('over h2');
      },
      {},
    );
    // What most servers of h2c do: the first bytes tell.
    const both = await startTcpUpstream(t, (socket) => {
      socket.once('data', (first: Buffer) => {
        const { port } = first.toString('latin1').startsWith('PRI * ') ? requests : sockets;
        const behind = connect(port, '127.0.0.1').on('error', () => {});
        behind.write(first);
        socket.pipe(behind).pipe(socket);
        socket.once('close', () => behind.destroy());
      });
    });
    const engine = await publishAs(t, both, 'h2c');
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).body, 'over h2');
    for (const down of ['h1', 'h2'] as const) {
      const { socket } = await openSocket(t, engine, down);
      socket.send('hello');
      assert.deepEqual(await nextMessage(socket), [Buffer.from('hello'), false]);
      socket.close();
      await once(socket, 'close');
    }
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).body, 'over h2');
  });

  test('that speaks nothing else either is told from one that refuses', async (t) => {
    const upstream = await startHttp2Upstream(t, (stream) => stream.respond({ ':status': 200 }), {});
    const engine = await publishAs(t, upstream, 'h2c');
    const { status, body } = await openSocket(t, engine, 'h2');
    assert.equal(status, 502);
    assert.match(await body(), /UPSTREAM_(MALFORMED|CLOSED)/);
  });
});

describe("the edge's own handshake with an upstream of HTTP/1.1", () => {
  const ACCEPTS = ['', 'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n'];
  for (const accept of ACCEPTS)
    test(`fails with 502 when the 101 comes with ${accept === '' ? 'no' : 'a wrong'} Sec-WebSocket-Accept`, async (t) => {
      const { port } = await startTcpUpstream(t, (socket) => {
        socket.once('data', () =>
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${accept}\r\n`,
          ),
        );
      });
      const engine = await publishAs(t, { port }, 'h1');
      const { status, body } = await openSocket(t, engine, 'h2');
      assert.equal(status, 502);
      assert.match(await body(), /UPSTREAM_MALFORMED/);
    });

  test('uses a fresh key each time, and never one of the downstream', async (t) => {
    const keys: unknown[] = [];
    const upstream = await startSocketUpstream(t, 'h1', (_socket, { headers }) =>
      keys.push(headers['sec-websocket-key']),
    );
    const engine = await publishAs(t, upstream, 'h1');
    const headers = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
    for (let count = 0; count < 2; count += 1) await openSocket(t, engine, 'h2', { headers });
    assert.equal(new Set(keys).size, 2);
    for (const key of keys) assert.match(String(key), /^(?!AAAA)[\w+/]{22}==$/);
  });
});

describe('an extended CONNECT', () => {
  for (const protocol of ['h2c', 'TLS/1.0', 'two words'])
    test(`for ${protocol} is refused with 501`, async (t) => {
      const upstream = await startHttpUpstream(t, (_request, response) => response.end());
      const session = await openHttp2(t, await publishAs(t, upstream, 'h1'));
      const stream = session.request({ ...SOCKET, ':protocol': protocol, ':authority': HOSTNAME });
      assert.equal((await responseOf(stream))[':status'], 501);
      stream.close();
    });

  test('that is answered with a length is a success without one', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\nContent-Length: 0\r\n\r\nhi',
        ),
      );
    });
    const session = await openHttp2(t, await publishAs(t, { port }, 'h1'));
    const stream = session.request({ ...SOCKET, ':protocol': 'echo/1', ':authority': HOSTNAME });
    const answer = await responseOf(stream);
    assert.equal(answer[':status'], 200);
    assert.equal(answer['content-length'], undefined);
    assert.equal(String((await once(stream, 'data'))[0]), 'hi');
    stream.destroy();
  });
});

test('an HTTP/1.1 upgrade to something else goes to an upstream of HTTP/2 as HTTP/1.1', async (t) => {
  const seen: string[] = [];
  const { port } = await startTcpUpstream(t, (socket) => {
    socket.once('data', (head: Buffer) => {
      seen.push(head.toString('latin1').split('\r\n')[0] as string);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n');
    });
  });
  const engine = await publishAs(t, { port }, 'h2c');
  const answer = fetchThrough(engine, HOSTNAME, '/raw', {
    headers: { connection: 'Upgrade', upgrade: 'echo/1' },
  });
  answer.catch(() => {});
  await eventually(() => seen.length === 1, 'the upstream was asked');
  assert.deepEqual(seen, ['GET /raw HTTP/1.1']);
});
