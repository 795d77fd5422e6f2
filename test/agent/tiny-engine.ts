/**
 * The least that an agent can take for an engine: a TLS listener whose connections a test answers message by message.
 *
 * Why not the real one: these tests need an engine that refuses, stays silent and breaks when told to.
 */
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { EngineTarget } from '../../src/agent/connection.ts';
import { createFrameReader } from '../../src/wire/frame-reader.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import { AGENT_ALPN, negotiateLiveness } from '../../src/wire/handshake.ts';
import type { Message, MessageKind } from '../../src/wire/message.ts';
import { testCertificates } from '../support/certificates.ts';
import { createMailbox } from './mailbox.ts';

export type MessageOf<Kind extends MessageKind> = Extract<Message, { kind: Kind }>;

/** One connection, after its first message. */
export interface Peer<First extends MessageKind = MessageKind> {
  readonly first: MessageOf<First>;
  /** Raw bytes, once the connection is no control channel. */
  readonly socket: TLSSocket;
  send(...messages: Message[]): void;
  /** Resets the connection. */
  breakOff(): void;
  /** The next message of this kind on a control channel. */
  next<Kind extends MessageKind>(kind: Kind): Promise<MessageOf<Kind>>;
}

export interface TinyEngine {
  readonly target: EngineTarget;
  /** The next connection whose first message is of this kind. */
  accept<Kind extends MessageKind>(kind: Kind): Promise<Peer<Kind>>;
  /** Accepts a control channel, and opens it with liveness as the real engine does. */
  acceptChannel(): Promise<Peer<'open-channel'>>;
  /** Accepts a control channel and opens its first tunnel as `tun_1` with these properties in the reply. */
  acceptTunnel(reply?: object): Promise<Peer<'open-channel'> & { asked: MessageOf<'open-tunnel'> }>;
  /** Connections that were accepted so far. */
  readonly connectionCount: number;
  /** How many of them resumed a TLS session. */
  readonly resumedCount: number;
  readonly openCount: number;
}

/** Listens until the test ends. */
export const startTinyEngine = async (t: TestContext, options: TlsOptions = {}): Promise<TinyEngine> => {
  const { ca, cert, key } = await testCertificates();
  const peers = createMailbox<Peer>();
  const sockets = new Set<TLSSocket>();
  const counts = { connections: 0, resumed: 0 };
  const server = createServer({
    cert,
    key,
    ALPNProtocols: [AGENT_ALPN],
    minVersion: 'TLSv1.3',
    // Not in the types of tls.createServer, which hands it to net.createServer.
    ...({ allowHalfOpen: true } as object),
    ...options,
  });
  // TLS hides the socket under it, which alone can send a reset.
  const raws = new Map<number | undefined, Socket>();
  server.on('connection', (raw) => raws.set(raw.remotePort, raw));
  server.on('secureConnection', (socket) => {
    const raw = raws.get(socket.remotePort) as Socket;
    counts.connections += 1;
    if (socket.isSessionReused()) counts.resumed += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    receive(socket, (peer) => peers.put({ ...peer, breakOff: () => void raw.resetAndDestroy() }));
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const accept = async <Kind extends MessageKind>(kind: Kind): Promise<Peer<Kind>> => {
    const peer = await peers.take(({ first }) => first.kind === kind, `a connection that says ${kind}`);
    return peer as unknown as Peer<Kind>;
  };
  const acceptChannel = async () => {
    const peer = await accept('open-channel');
    const liveness = negotiateLiveness(peer.first.liveness);
    peer.send({ kind: 'channel-opened', agentId: 'cli_1', server: {}, ...(liveness && { liveness }) });
    return peer;
  };
  return {
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca },
    accept,
    acceptChannel,
    async acceptTunnel(reply = {}) {
      const peer = await acceptChannel();
      const asked = await peer.next('open-tunnel');
      const properties = { ...asked.properties, id: 'tun_1', ...reply };
      peer.send({ kind: 'tunnel-opened', requestId: asked.requestId, properties });
      return { ...peer, asked };
    },
    get connectionCount() {
      return counts.connections;
    },
    get resumedCount() {
      return counts.resumed;
    },
    get openCount() {
      return sockets.size;
    },
  };
};

/** Reads the first message; only a control channel goes on with frames. */
const receive = (socket: TLSSocket, onPeer: (peer: Omit<Peer, 'breakOff'>) => void): void => {
  const reader = createFrameReader();
  const inbox = createMailbox<Message>();
  const send = (...messages: Message[]) => void socket.write(Buffer.concat(messages.map(encodeFrame)));
  const next = async <Kind extends MessageKind>(kind: Kind) =>
    (await inbox.take((message) => message.kind === kind, kind)) as MessageOf<Kind>;

  const readFirst = () => {
    for (let chunk: Buffer | null = socket.read(); chunk; chunk = socket.read()) reader.push(chunk);
    const first = reader.next();
    if (!first) return;
    socket.off('readable', readFirst);
    if (first.kind === 'open-channel') readFrames();
    else {
      const rest = reader.rest();
      if (rest.length > 0) socket.unshift(rest);
    }
    onPeer({ first, socket, send, next });
  };
  const readFrames = () => {
    const drain = () => {
      for (let message = reader.next(); message; message = reader.next()) inbox.put(message);
    };
    drain();
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      drain();
    });
    socket.on('end', () => socket.end());
  };
  socket.on('readable', readFirst);
};
