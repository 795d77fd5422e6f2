/** A connection that changes its protocol: WebSocket first of all, and whatever else both ends agree on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import { connectDownstream, readToEnd, readUntil } from '../support/downstream.ts';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  answerText,
  connectAsker,
  HOSTNAME,
  requestText,
  startPublished,
  startScriptedUpstream,
} from './http-upstream.ts';

/** A WebSocket server behind an engine that does with each connection what the test says. */
const startSocketServer = async (
  t: TestContext,
  onConnection: (socket: WebSocket, request: IncomingMessage) => void,
  options: ConstructorParameters<typeof WebSocketServer>[0] = {},
) => {
  const { port, server } = await startHttpUpstream(t, (_request, response) => response.end('ordinary'));
  const sockets = new WebSocketServer({ server, ...options });
  sockets.on('connection', onConnection);
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
  return startPublished(t, { port });
};

const openSocket = ({ port, ca }: TestEngine, protocols: string[] = [], options: ClientOptions = {}) => {
  // Node documents servername here, the types of ws forgot it.
  const tls: ClientOptions = { ca, servername: HOSTNAME } as ClientOptions;
  const socket = new WebSocket(`wss://127.0.0.1:${port}/socket`, protocols, {
    ...tls,
    headers: { host: `${HOSTNAME}:${port}` },
    ...options,
  });
  return socket;
};

const echo = (socket: WebSocket) =>
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));

const nextMessage = async (socket: WebSocket): Promise<[RawData, boolean]> =>
  (await once(socket, 'message')) as [RawData, boolean];

describe('a WebSocket', () => {
  test('carries text, binary, large and many messages', async (t) => {
    const engine = await startSocketServer(t, echo);
    const socket = openSocket(engine);
    await once(socket, 'open');
    socket.send('hello-ws');
    assert.deepEqual(await nextMessage(socket), [Buffer.from('hello-ws'), false]);
    for (const size of [0, 1, 125, 126, 65_536, 8_388_608]) {
      const bytes = randomBytes(size);
      socket.send(bytes);
      const [data, isBinary] = await nextMessage(socket);
      assert.ok(isBinary && bytes.equals(data as Buffer), `${size} bytes`);
    }
    let count = 0;
    socket.on('message', () => {
      count += 1;
    });
    for (let index = 0; index < 1_000; index += 1) socket.send(`message ${index}`);
    await eventually(() => count === 1_000, 'every message comes back');
    socket.close();
    await once(socket, 'close');
    await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
  });

  test('is pinged by either end', async (t) => {
    const engine = await startSocketServer(t, (server) =>
      server.on('ping', () => server.ping('from upstream')),
    );
    const socket = openSocket(engine);
    await once(socket, 'open');
    const pinged = once(socket, 'ping');
    socket.ping('from downstream');
    assert.deepEqual(await once(socket, 'pong'), [Buffer.from('from downstream')]);
    assert.deepEqual(await pinged, [Buffer.from('from upstream')]);
    socket.close();
    await once(socket, 'close');
  });

  test('tells each end why the other closed', async (t) => {
    const ends: unknown[][] = [];
    const engine = await startSocketServer(t, (server) => {
      server.on('close', (code, reason) => ends.push([code, String(reason)]));
      server.on('message', () => server.close(4_002, 'told to'));
    });
    const [told, leaving] = [openSocket(engine), openSocket(engine)];
    await Promise.all([once(told, 'open'), once(leaving, 'open')]);
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

  for (const gone of ['downstream', 'upstream'] as const)
    test(`ends for one end when the ${gone} is gone without a word`, async (t) => {
      let server: WebSocket | undefined;
      const engine = await startSocketServer(t, (socket) => {
        server = socket;
      });
      const socket = openSocket(engine);
      await once(socket, 'open');
      await eventually(() => server !== undefined, 'the upstream has it');
      const [dying, other] = gone === 'upstream' ? [server!, socket] : [socket, server!];
      const closed = once(other, 'close');
      dying.terminate();
      assert.equal((await closed)[0], 1_006);
      await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
    });

  test('keeps Host, Origin, subprotocol and extensions as they were asked for', async (t) => {
    let seen: IncomingMessage['headers'] = {};
    const engine = await startSocketServer(
      t,
      (_socket, request) => {
        seen = request.headers;
      },
      { handleProtocols: (protocols) => [...protocols][1] ?? false, perMessageDeflate: true },
    );
    const origin = `https://${HOSTNAME}:${engine.port}`;
    const socket = openSocket(engine, ['chat.v1', 'chat.v2'], { origin });
    await once(socket, 'open');
    assert.equal(socket.protocol, 'chat.v2');
    assert.match(socket.extensions, /permessage-deflate/);
    assert.equal(seen.origin, origin);
    assert.equal(seen.host, new URL(origin).host);
    assert.equal(seen.connection, 'Upgrade');
    assert.equal(seen['x-forwarded-proto'], 'https');
    socket.close();
    await once(socket, 'close');
  });

  test('that the upstream refuses is answered as it says, and the connection goes on', async (t) => {
    const engine = await startSocketServer(t, echo, {
      verifyClient: (_info, done) => done(false, 403, 'not you'),
    });
    const [{ statusCode }] = (await once(
      openSocket(engine).on('error', () => {}),
      'unexpected-response',
    ).then(([, response]) => [response])) as [IncomingMessage];
    assert.equal(statusCode, 403);
    const { ask } = await connectAsker(t, engine);
    const upgrade = requestText('GET /', 'Connection: Upgrade', 'Upgrade: websocket');
    assert.match(await ask(upgrade, /\r\n\r\n/), /^HTTP\/1.1 4/);
  });
});

describe('another protocol', () => {
  const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n';
  const upgrade = requestText('GET /', 'Connection: keep-alive, Upgrade', 'Upgrade: echo/1');

  test('carries what both ends say early: before the 101, and in the same packet behind it', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => {
      socket.write(`${SWITCHED}early words`);
    });
    const engine = await startPublished(t, upstream);
    const { ask } = await connectAsker(t, engine);
    const answer = await ask(`${upgrade}too early?`, 'early words');
    assert.equal(
      answer,
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nearly words',
    );
    await eventually(
      () => upstream.connections[0]!.text.endsWith('too early?'),
      'it comes behind the request',
    );
  });

  test('keeps one direction open when the other has ended', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => {
      socket.removeAllListeners('end');
      socket.write(SWITCHED);
      socket.on('end', () => socket.end('last words'));
    });
    const engine = await startPublished(t, upstream);
    const socket = await connectDownstream(engine, HOSTNAME, { allowHalfOpen: true });
    socket.write(upgrade);
    await readUntil(socket, (text) => text.endsWith('\r\n\r\n'));
    socket.end('done');
    assert.equal(await readToEnd(socket), 'last words');
    assert.ok(upstream.connections[0]!.text.endsWith('done'));
    await eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
  });

  test('does not begin when nobody asked for it', async (t) => {
    const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(SWITCHED));
    const { ask } = await connectAsker(t, await startPublished(t, upstream));
    assert.match(await ask(requestText('GET /'), /}\n$/), /^HTTP\/1.1 502 .*UPSTREAM_MALFORMED/s);
    await eventually(() => upstream.connections[0]!.socket.destroyed, 'the stream ends');
  });

  for (const protocol of ['h2c', 'HTTP/2.0', 'TLS/1.0'])
    test(`is never ${protocol}: the request goes on without the upgrade`, async (t) => {
      const upstream = await startScriptedUpstream(t, (_head, socket) => socket.write(answerText('plain')));
      const { ask } = await connectAsker(t, await startPublished(t, upstream));
      await ask(
        requestText(
          'GET /',
          'Connection: Upgrade, HTTP2-Settings',
          `Upgrade: ${protocol}`,
          'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA',
        ),
        'plain',
      );
      assert.doesNotMatch(upstream.connections[0]!.text, /upgrade|http2-settings|connection/i);
    });
});
