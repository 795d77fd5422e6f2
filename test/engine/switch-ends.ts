/** Both ends of connections that change their protocol, over HTTP/1.1 and over HTTP/2 alike. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2Server,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { connectDownstream } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { HOSTNAME } from './http-upstream.ts';

export type DownVersion = 'h1' | 'h2';
export type UpVersion = 'h1' | 'h2c';

/** All four: what comes as the first and goes on as the second. */
export const PAIRINGS = [
  ['h1', 'h1'],
  ['h1', 'h2c'],
  ['h2', 'h1'],
  ['h2', 'h2c'],
] as const satisfies (readonly [DownVersion, UpVersion])[];

/** An engine with an upstream published as HOSTNAME. */
export const publishAs = async (
  t: TestContext,
  upstream: { port: number },
  up: UpVersion,
  { settings = {}, ...properties }: TunnelProperties & { settings?: Record<string, unknown> } = {},
): Promise<TestEngine> => {
  const engine = await startEngine(t, { settings });
  const version = up === 'h2c' ? { httpVersion: 'h2c' } : {};
  await engine.publish(upstream, { hostname: 'web', ...version, ...properties });
  return engine;
};

/** An HTTP/2 connection to HOSTNAME. */
export const openHttp2 = async (
  t: TestContext,
  engine: TestEngine,
  serverName = HOSTNAME,
): Promise<ClientHttp2Session> => {
  const socket = await connectDownstream(engine, serverName, { alpn: ['h2'] });
  const session = connectHttp2(`https://${serverName}`, { createConnection: () => socket });
  session.on('error', () => {});
  t.after(() => session.destroy());
  // An extended CONNECT may only follow the SETTINGS that allow it.
  await once(session, 'remoteSettings');
  return session;
};

/** Headers of an answer over HTTP/2 with its status. */
export type Http2Answer = IncomingHttpHeaders & { ':status'?: number };

export const responseOf = async (stream: ClientHttp2Stream): Promise<Http2Answer> =>
  ((await once(stream, 'response')) as [Http2Answer])[0];

/** A server of HTTP/2 in clear text. */
export const startHttp2Upstream = async (
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders & Record<string, unknown>) => void,
  settings: Parameters<typeof createHttp2Server>[0] = { settings: { enableConnectProtocol: true } },
): Promise<{ port: number; server: Http2Server; sessionCount: () => number }> => {
  const server = createHttp2Server(settings);
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {}).once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers as IncomingHttpHeaders & Record<string, unknown>);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server, sessionCount: () => sessions.size };
};

/** What an upstream was asked. */
export interface Asked {
  readonly host: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** The WebSocket protocol of `ws` over a stream that is switched already: its own way there, which its types do not show. */
export const webSocketOver = (stream: Duplex, isServer: boolean): WebSocket => {
  const socket = new (
    WebSocket as unknown as new (
      address: null,
      protocols?: undefined,
      options?: object,
    ) => WebSocket
  )(null, undefined, { autoPong: true, closeTimeout: 5_000 });
  const inner = socket as unknown as { _isServer: boolean; setSocket(...args: unknown[]): void };
  inner._isServer = isServer;
  inner.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true,
    maxPayload: 100_000_000,
    skipUTF8Validation: false,
  });
  return socket;
};

export interface SocketServerOptions {
  /** Answers 403 to everybody. */
  readonly isClosed?: boolean;
  readonly subprotocol?: string;
}

/** A WebSocket server of either version that does with each connection what the test says. */
export const startSocketUpstream = async (
  t: TestContext,
  up: UpVersion,
  onConnection: (socket: WebSocket, asked: Asked) => void,
  { isClosed = false, subprotocol }: SocketServerOptions = {},
): Promise<{ port: number }> => {
  if (up === 'h2c') {
    const named = subprotocol === undefined ? {} : { 'sec-websocket-protocol': subprotocol };
    return startHttp2Upstream(t, (stream, headers) => {
      assert.deepEqual([headers[':method'], headers[':protocol']], ['CONNECT', 'websocket']);
      if (isClosed) {
        stream.respond({ ':status': 403, 'x-reason': 'mood' });
        return void stream.end('not you');
      }
      stream.respond({ ':status': 200, ...named });
      const host = headers[':authority'] as string | undefined;
      onConnection(webSocketOver(stream, true), { host, headers });
    });
  }
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('ordinary'));
  const sockets = new WebSocketServer({
    server: upstream.server,
    perMessageDeflate: true,
    ...(subprotocol !== undefined && { handleProtocols: () => subprotocol }),
    verifyClient: (_info, done) => done(!isClosed, 403, 'not you', { 'x-reason': 'mood' }),
  });
  sockets.on('connection', (socket, { headers }) => onConnection(socket, { host: headers.host, headers }));
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
  return upstream;
};

/** What came of a WebSocket handshake. */
export interface SocketAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Only after a success. */
  readonly socket: WebSocket;
  /** The body of a refusal. */
  body(): Promise<string>;
}

/** Opens a WebSocket at HOSTNAME. `origin` and `protocol` go out as given; the authority has no port unless told otherwise. */
export const openSocket = async (
  t: TestContext,
  engine: TestEngine,
  down: DownVersion,
  { authority = HOSTNAME, headers = {} }: { authority?: string; headers?: OutgoingHttpHeaders } = {},
): Promise<SocketAnswer> => {
  return (down === 'h1' ? openSocketHttp1 : openSocketHttp2)(t, engine, authority, headers);
};

const openSocketHttp1 = async (
  t: TestContext,
  { port, ca }: TestEngine,
  host: string,
  headers: OutgoingHttpHeaders,
): Promise<SocketAnswer> => {
  const { 'sec-websocket-protocol': protocol, ...rest } = headers;
  // Node documents servername here, the types of ws forgot it.
  const options = { ca, servername: HOSTNAME, headers: { host, ...rest } } as unknown as ClientOptions;
  const protocols = protocol === undefined ? [] : String(protocol).split(', ');
  const socket = new WebSocket(`wss://127.0.0.1:${port}/socket`, protocols, options);
  socket.on('error', () => {});
  t.after(() => socket.terminate());
  const response = await new Promise<IncomingMessage>((resolve) => {
    socket.once('upgrade', resolve).once('unexpected-response', (_request, refused) => resolve(refused));
  });
  if (response.statusCode === 101 && socket.readyState !== WebSocket.OPEN) await once(socket, 'open');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    socket,
    body: async () => String(Buffer.concat((await response.toArray()) as Buffer[])),
  };
};

const openSocketHttp2 = async (
  t: TestContext,
  engine: TestEngine,
  authority: string,
  headers: OutgoingHttpHeaders,
): Promise<SocketAnswer> => {
  const session = await openHttp2(t, engine);
  const pseudo = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/socket' };
  const stream = session.request(
    { ...pseudo, ':authority': authority, 'sec-websocket-version': '13', ...headers },
    { endStream: false },
  );
  stream.on('error', () => {});
  const answer = await responseOf(stream);
  const status = answer[':status'] ?? 0;
  return {
    status,
    headers: answer,
    socket: status === 200 ? webSocketOver(stream, false) : (undefined as never),
    body: async () => String(Buffer.concat((await stream.toArray()) as Buffer[])),
  };
};

/** Nothing of the test's exchanges is left in the engine, idle streams aside. */
export const nothingIsLeft = (engine: TestEngine): Promise<void> =>
  eventually(() => engine.engine.counts().downstreams === 0, 'nothing is left');
