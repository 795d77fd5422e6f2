/** Plain CONNECT in all four pairings (RFC 9110 9.3.6): an opaque pipe to a proxy behind the tunnel of the connection's server name. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { connectDownstream, readToEnd, readUntil } from '../support/downstream.ts';
import { startTcpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { answerText, HOSTNAME } from './http-upstream.ts';
import {
  type DownVersion,
  openHttp2,
  PAIRINGS,
  publishAs,
  responseOf,
  startHttp2Upstream,
  type UpVersion,
} from './switch-ends.ts';

const TARGET = 'db.internal:5432';

/** A CONNECT as a proxy gets it, which it answers when the test says so. */
interface Tunnelled {
  readonly target: string | undefined;
  readonly host: string | undefined;
  readonly headers: IncomingHttpHeaders;
  accept(): Duplex;
  refuse(status: number, headers: Record<string, string>, body: string): void;
}

/** A proxy of either version. */
const startProxy = async (t: TestContext, up: UpVersion, onConnect: (asked: Tunnelled) => void) => {
  if (up === 'h2c')
    return startHttp2Upstream(t, (stream: ServerHttp2Stream, headers) => {
      assert.deepEqual(
        [headers[':method'], headers[':path'], headers[':scheme']],
        ['CONNECT', undefined, undefined],
      );
      const target = headers[':authority'] as string | undefined;
      onConnect({
        target,
        host: target,
        headers,
        accept: () => {
          stream.respond({ ':status': 200, 'x-proxy': 'yes' });
          return stream;
        },
        refuse: (status, own, body) => {
          stream.respond({ ':status': status, ...own });
          stream.end(body);
        },
      });
    });
  const server = createServer((_request, response) => response.end('ordinary'));
  server.on('connect', ({ url, headers }, socket: Duplex) => {
    socket.on('error', () => {});
    onConnect({
      target: url,
      host: headers.host,
      headers,
      accept: () => {
        // Content-Length means nothing here, and some proxies send it.
        socket.write('HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\nContent-Length: 0\r\n\r\n');
        return socket;
      },
      refuse: (status, own, body) => {
        const lines = Object.entries({ ...own, 'content-length': `${body.length}` });
        const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
        socket.end(`HTTP/1.1 ${status} Refused\r\n${head}\r\n${body}`);
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port };
};

interface ConnectAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly pipe: Duplex;
}

/** Asks for a pipe to TARGET; `early` goes out behind the request, before any answer. */
const openPipe = async (
  t: TestContext,
  engine: TestEngine,
  down: DownVersion,
  { early = '', headers = {} }: { early?: string; headers?: Record<string, string> } = {},
): Promise<ConnectAnswer> => {
  if (down === 'h2') {
    const session = await openHttp2(t, engine);
    const stream = session.request({ ':method': 'CONNECT', ':authority': TARGET, ...headers });
    stream.on('error', () => {});
    if (early !== '') stream.write(early);
    const answer = await responseOf(stream);
    return { status: answer[':status'] ?? 0, headers: answer, pipe: stream };
  }
  const socket = await connectDownstream(engine, HOSTNAME, { allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`CONNECT ${TARGET} HTTP/1.1\r\nHost: ${TARGET}\r\n${lines.join('')}\r\n${early}`);
  let text = '';
  while (!text.includes('\r\n\r\n')) text += await readUntil(socket, (so) => so.length > 0);
  const end = text.indexOf('\r\n\r\n');
  const rest = text.slice(end + 4);
  if (rest !== '') socket.unshift(Buffer.from(rest, 'latin1'));
  const [first = '', ...others] = text.slice(0, end).split('\r\n');
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(others.map((line) => line.toLowerCase().split(': ') as [string, string])),
    pipe: socket,
  };
};

/** Everything until the other end says that it is done. */
const readAll = async (pipe: Duplex): Promise<string> => {
  let text = '';
  pipe.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  await once(pipe, 'end');
  return text;
};

for (const [down, up] of PAIRINGS)
  describe(`a CONNECT that comes over ${down} and goes on over ${up}`, () => {
    test('reaches the proxy as it was asked and carries bytes both ways', async (t) => {
      let asked: Tunnelled | undefined;
      const proxy = await startProxy(t, up, (tunnelled) => {
        asked = tunnelled;
        const pipe = tunnelled.accept();
        pipe.pipe(pipe);
      });
      const engine = await publishAs(t, proxy, up);
      const headers = { 'proxy-authorization': 'Basic dTpw' };
      const { status, headers: answered, pipe } = await openPipe(t, engine, down, { headers });
      assert.equal(status, 200);
      assert.equal(answered['x-proxy'], 'yes');
      assert.equal(answered['content-length'], undefined);
      assert.deepEqual([asked?.target, asked?.host], [TARGET, TARGET]);
      assert.equal(asked?.headers['proxy-authorization'], 'Basic dTpw');
      const bytes = Buffer.alloc(2_000_000, 'opaque \r\n\r\n GET / HTTP/1.1 ');
      let received = 0;
      pipe.on('data', (chunk: Buffer) => {
        assert.ok(chunk.equals(bytes.subarray(received, received + chunk.length)));
        received += chunk.length;
      });
      pipe.write(bytes);
      await eventually(() => received === bytes.length, 'everything comes back');
      pipe.destroy();
    });

    test('gets nothing through before the proxy has agreed, and what came early then', async (t) => {
      let asked: Tunnelled | undefined;
      const proxy = await startProxy(t, up, (tunnelled) => {
        asked = tunnelled;
      });
      const engine = await publishAs(t, proxy, up);
      const opening = openPipe(t, engine, down, { early: 'too early?' });
      await eventually(() => asked !== undefined, 'the proxy was asked');
      const pipe = asked!.accept();
      const seen = once(pipe, 'data');
      const { pipe: ours } = await opening;
      assert.equal(String((await seen)[0]), 'too early?');
      ours.destroy();
    });

    test('keeps one direction open when the other has ended, either way', async (t) => {
      let words = '';
      const proxy = await startProxy(t, up, (tunnelled) => {
        const pipe = tunnelled.accept();
        if (tunnelled.headers['x-first'] === 'upstream') pipe.end('upstream is done');
        pipe.on('data', (chunk) => {
          words += chunk;
        });
        pipe.on('end', () => pipe.end('last words'));
      });
      const engine = await publishAs(t, proxy, up);
      const first = await openPipe(t, engine, down);
      first.pipe.end('downstream is done');
      assert.equal(await readAll(first.pipe), 'last words');
      assert.equal(words, 'downstream is done');

      words = '';
      const second = await openPipe(t, engine, down, { headers: { 'x-first': 'upstream' } });
      assert.equal(await readAll(second.pipe), 'upstream is done');
      second.pipe.end('and still heard');
      await eventually(() => words === 'and still heard', 'it arrives');
    });

    test('that is refused is an ordinary answer', async (t) => {
      const proxy = await startProxy(t, up, (tunnelled) =>
        tunnelled.refuse(407, { 'proxy-authenticate': 'Basic realm="x"' }, 'who are you?'),
      );
      const engine = await publishAs(t, proxy, up);
      const { status, headers, pipe } = await openPipe(t, engine, down);
      assert.equal(status, 407);
      assert.match(String(headers['proxy-authenticate']), /^basic realm="x"$/i);
      if (down === 'h1') assert.equal(headers.connection, 'close');
      assert.match(await readAll(pipe), /who are you\?/);
      pipe.destroy();
    });

    for (const gone of ['downstream', 'upstream'] as const)
      test(`is over for both when the ${gone} breaks off`, async (t) => {
        let theirs: Duplex | undefined;
        const proxy = await startProxy(t, up, (tunnelled) => {
          theirs = tunnelled.accept();
        });
        const engine = await publishAs(t, proxy, up);
        const { pipe } = await openPipe(t, engine, down);
        const [dying, other] = gone === 'upstream' ? [theirs!, pipe] : [pipe, theirs!];
        let hasEnded = false;
        other.on('end', () => {
          hasEnded = true;
          other.end();
        });
        other.resume();
        const closed = new Promise((resolve) => other.once('close', resolve));
        dying.destroy();
        await closed;
        if (down === 'h1')
          await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
        // TCP has one end only for those who leave and those who are done; HTTP/2 tells them apart.
        if (down === 'h2' && up === 'h2c') assert.equal(hasEnded, false, 'it is no orderly end');
      });
  });

describe('a CONNECT', () => {
  test('goes to the tunnel of the server name, whatever its authority says', async (t) => {
    const proxy = await startProxy(t, 'h1', (tunnelled) => tunnelled.refuse(403, {}, 'first'));
    const other = await startProxy(t, 'h1', (tunnelled) => tunnelled.refuse(403, {}, 'other'));
    const engine = await publishAs(t, proxy, 'h1');
    await engine.publish(other, { hostname: 'other' });
    const target = 'other.t.localhost:443';
    const socket = await connectDownstream(engine, HOSTNAME);
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    assert.match(await readToEnd(socket), /first$/);
    const session = await openHttp2(t, engine);
    const stream = session.request({ ':method': 'CONNECT', ':authority': target });
    assert.equal(await readAll(stream), 'first');
  });

  test('that was refused closes the connection: what follows it is no request', async (t) => {
    const { port } = await startTcpUpstream(t, (socket) => {
      socket.on('data', () => socket.write(answerText('no').replace('200 OK', '403 Forbidden')));
    });
    const engine = await publishAs(t, { port }, 'h1');
    const socket = await connectDownstream(engine, HOSTNAME);
    const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${HOSTNAME}\r\n\r\n`;
    socket.write(`CONNECT ${TARGET} HTTP/1.1\r\nHost: ${TARGET}\r\n\r\n${smuggled}`);
    const text = await readToEnd(socket);
    assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1);
    assert.match(text, /^HTTP\/1\.1 403 /);
  });

  for (const target of ['db.internal', 'https://db.internal:5432', '/', 'user@db.internal:5432', '*'])
    test(`to ${target} is refused with 400`, async (t) => {
      const proxy = await startProxy(t, 'h1', () => assert.fail('the proxy was asked'));
      const engine = await publishAs(t, proxy, 'h1');
      const socket = await connectDownstream(engine, HOSTNAME);
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.match(await readToEnd(socket), /^HTTP\/1\.1 400 .*REQUEST_MALFORMED/s);
    });

  test('and a request do not mix on one HTTP/2 connection, whichever comes first', async (t) => {
    const proxy = await startProxy(t, 'h1', (tunnelled) => {
      const pipe = tunnelled.accept();
      pipe.pipe(pipe);
    });
    const engine = await publishAs(t, proxy, 'h1');
    const connect = { ':method': 'CONNECT', ':authority': TARGET };
    const request = { ':path': '/', ':authority': HOSTNAME };
    for (const [first, second] of [
      [connect, request],
      [request, connect],
    ] as const) {
      const session = await openHttp2(t, engine);
      const open = session.request(first);
      open.on('error', () => {});
      assert.equal((await responseOf(open))[':status'], 200);
      const refused = session.request(second);
      assert.equal((await responseOf(refused))[':status'], 421);
      assert.match(await readAll(refused), /Misdirected Request/);
      // The one that was there first goes on.
      const again = session.request(first);
      assert.equal((await responseOf(again))[':status'], 200);
      session.destroy();
    }
  });
});
