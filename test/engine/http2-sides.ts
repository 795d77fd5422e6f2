/** Downstreams and upstreams of either HTTP version, for stories over real sockets. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { connectDownstream, type DownstreamTarget } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { HOSTNAME } from './http-upstream.ts';

export type UpstreamVersion = 'http/1.1' | 'h2c';
export const UPSTREAM_VERSIONS: readonly UpstreamVersion[] = ['http/1.1', 'h2c'];

/** An upstream that speaks HTTP/2 without TLS; the server's options may say what it allows. */
export const startHttp2Upstream = async (
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: Parameters<typeof createServer>[0] = {},
) => {
  const server = createServer(options);
  const sockets: Socket[] = [];
  const sessions: ServerHttp2Session[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket));
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    server,
    /** One for each connection that it got. */
    sessions,
    /** Ends all its connections without a word. */
    cut,
  };
};

export type Listener = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** An upstream of one version or the other; Node's HTTP/2 server takes the listeners of its HTTP/1.1 server. */
export const startUpstream = async (
  t: TestContext,
  version: UpstreamVersion,
  onRequest: Listener,
): Promise<{ port: number }> => {
  const listener = (request: IncomingMessage, response: ServerResponse) => void onRequest(request, response);
  if (version === 'http/1.1') return startHttpUpstream(t, listener);
  const upstream = await startHttp2Upstream(t, () => {});
  upstream.server.on('request', listener as unknown as () => void);
  return upstream;
};

/** An engine with an upstream published as HOSTNAME. */
export const startBehind = async (
  t: TestContext,
  upstream: { port: number },
  httpVersion: UpstreamVersion,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<TestEngine> => {
  const engine = await startEngine(t, { settings });
  await engine.publish(upstream, { hostname: 'web', httpVersion });
  return engine;
};

/** One HTTP/2 connection of a downstream. */
export const connectHttp2 = async (
  t: TestContext,
  target: DownstreamTarget,
  serverName = HOSTNAME,
  settings: Settings = {},
  tls: Pick<ConnectionOptions, 'maxVersion' | 'ciphers' | 'cert' | 'key'> = {},
): Promise<ClientHttp2Session> => {
  const socket = await connectDownstream(target, serverName, { alpn: ['h2'], ...tls });
  const session = connect(`https://${serverName}:${target.port}`, {
    createConnection: () => socket,
    // As much as the engine passes on; Node's own bounds are lower.
    maxHeaderListPairs: 1_000,
    settings: { maxHeaderListSize: 1_000_000, ...settings },
  });
  session.on('error', () => {});
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
};

export interface Http2Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
  /** Statuses of the interim responses. */
  readonly interim: readonly (number | undefined)[];
}

const statusOf = (headers: IncomingHttpHeaders) =>
  (headers as IncomingHttpStatusHeader & IncomingHttpHeaders)[':status'];

/** The whole answer on a stream; rejects when the stream is reset. */
export const answerOf = async (stream: ClientHttp2Stream): Promise<Http2Answer> => {
  const interim: (number | undefined)[] = [];
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on('headers', (received) => interim.push(statusOf(received)));
  stream.on('response', (received) => {
    headers = received;
  });
  stream.on('trailers', (received) => {
    trailers = received;
  });
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { status: statusOf(headers), headers, body: Buffer.concat(chunks), trailers, interim };
};

/** Begins a request to HOSTNAME whose body the caller writes. */
export const openStream = (
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  options: { waitForTrailers?: boolean } = {},
): ClientHttp2Stream =>
  session.request({ ':authority': HOSTNAME, ':path': '/', ...headers }, { endStream: false, ...options });

/** A whole request to HOSTNAME and its answer. */
export const ask = (
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Http2Answer> => {
  const stream = session.request({ ':authority': HOSTNAME, ':path': '/', ...headers }, { endStream: !body });
  if (body) stream.end(body);
  return answerOf(stream);
};
