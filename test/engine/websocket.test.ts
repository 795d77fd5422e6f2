/** WebSockets from end to end, with a real library at both. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectAsker, HOSTNAME, requestText, startPublished } from './http-upstream.ts';

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

/** Says goodbye, and waits until both connections are gone. */
const close = async (socket: WebSocket, { engine }: TestEngine) => {
  socket.close();
  await once(socket, 'close');
  await eventually(() => engine.counts().downstreams === 0, 'nothing is left');
};

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
    await close(socket, engine);
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
    await close(socket, engine);
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
    await close(socket, engine);
  });

  test('that the upstream refuses is answered as it says, and the connection goes on', async (t) => {
    const engine = await startSocketServer(t, echo, {
      verifyClient: (_info, done) => done(false, 403, 'not you'),
    });
    const refused = openSocket(engine).on('error', () => {});
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    assert.equal(response.statusCode, 403);
    const { ask } = await connectAsker(t, engine);
    const upgrade = requestText('GET /', 'Connection: Upgrade', 'Upgrade: websocket');
    assert.match(await ask(upgrade, /\r\n\r\n/), /^HTTP\/1.1 4/);
  });
});
