/** Downstreams for tests: raw TLS connections to a published name, and requests over Node's own HTTP client. */
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

export interface DownstreamTarget {
  readonly port: number;
  readonly ca: string;
  /** Sent ahead of TLS, as a proxy does. */
  readonly proxyHeader?: Buffer;
}

/** Opens TLS to 127.0.0.1 with this server name. */
export const connectDownstream = async (
  { port, ca, proxyHeader }: DownstreamTarget,
  serverName: string,
  options: { alpn?: string[]; allowHalfOpen?: boolean } & Pick<
    ConnectionOptions,
    'maxVersion' | 'ciphers' | 'cert' | 'key' | 'session'
  > = {},
): Promise<TLSSocket> => {
  const { alpn = ['http/1.1'], allowHalfOpen = false, ...rest } = options;
  // Node documents allowHalfOpen here, its types forgot it.
  const tlsOptions = {
    host: '127.0.0.1',
    port,
    ca,
    servername: serverName,
    ALPNProtocols: alpn,
    allowHalfOpen,
    ...(proxyHeader && { socket: connectWith(proxyHeader, port, allowHalfOpen) }),
    ...rest,
  };
  const socket = connect(tlsOptions);
  await once(socket, 'secureConnect');
  return socket;
};

/** A TCP connection that has sent something already. */
const connectWith = (bytes: Buffer, port: number, allowHalfOpen: boolean): Socket => {
  const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen }).on('error', () => {});
  socket.write(bytes);
  return socket;
};

/** Sends text on a connection of its own and gives everything that comes back until the engine ends it. */
export const exchangeRaw = async (
  target: DownstreamTarget,
  serverName: string,
  text: string,
): Promise<string> => {
  const socket = await connectDownstream(target, serverName);
  socket.write(text, 'latin1');
  return readToEnd(socket);
};

/** Everything until the end of the connection, latin1. */
export const readToEnd = async (socket: TLSSocket): Promise<string> => {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
};

/** Collects until the text so far satisfies the test's condition. */
export const readUntil = async (socket: TLSSocket, isEnough: (text: string) => boolean): Promise<string> => {
  let text = '';
  while (!isEnough(text)) {
    const chunk: Buffer | null = socket.read();
    if (chunk) text += chunk.toString('latin1');
    else if (socket.readableEnded || socket.destroyed) throw new Error(`the connection ended after: ${text}`);
    else await Promise.race(['readable', 'end', 'close'].map((event) => once(socket, event)));
  }
  return text;
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Starts a request to a published name; the caller writes the body. */
export const startRequest = (
  { port, ca }: DownstreamTarget,
  hostname: string,
  path: string,
  options: RequestOptions = {},
): ClientRequest =>
  httpsRequest({
    host: '127.0.0.1',
    port,
    ca,
    servername: hostname,
    path,
    agent: false,
    ...options,
    headers: { host: `${hostname}:${port}`, ...options.headers },
  });

/** A whole request and its answer. */
export const fetchThrough = async (
  target: DownstreamTarget,
  hostname: string,
  path: string,
  options: RequestOptions & { body?: string | Buffer } = {},
): Promise<Answer> => {
  const request = startRequest(target, hostname, path, options);
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString('latin1'),
  };
};
