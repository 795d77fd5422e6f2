/**
 * A scriptable agent for engine tests: it does what a test says, also what no honest agent would do.
 *
 * Invariant: imports src/wire and Node's own modules only, which proves that the protocol is enough to be an agent. Every wait has a
 * deadline, so a test that waits in vain fails with the name of what it waited for.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { createFrameReader } from '../../src/wire/frame-reader.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import { AGENT_ALPN, PROTOCOL_VERSION } from '../../src/wire/handshake.ts';
import type { ClientDetails, Message, MessageKind, WireError } from '../../src/wire/message.ts';

type MessageOf<Kind extends MessageKind> = Extract<Message, { kind: Kind }>;
export type TunnelProperties = MessageOf<'open-tunnel'>['properties'];

const WAIT_MS_MAX = 10_000;

/** Where the engine under test listens. */
export interface FakeTarget {
  port: number;
  host?: string;
  /** PEM of the CA that signed the engine's certificate; without it the certificate is not verified. */
  ca?: string | Buffer;
  /** SNI; `localhost` by default, '' for none. */
  serverName?: string;
  /** PEM of a client certificate and its key, to be shown to the engine. */
  clientCertificate?: { cert: string; key: string };
  /** ALPN offer; `rstrm/1` by default. */
  alpn?: string[];
  /** Sent ahead of TLS, as a proxy does. */
  proxyHeader?: Buffer;
  /** The TCP connection to use, for a test that resets it. */
  below?: Socket;
}

export interface FakeAgentOptions extends FakeTarget {
  token?: string;
  /** Laid over the defaults; a field set to undefined is not sent. */
  clientDetails?: { [Field in keyof ClientDetails]?: ClientDetails[Field] | undefined };
  /** Heartbeat interval to ask for; none is asked for without it. */
  liveness?: number;
}

/** An error that the engine sent. */
export class FakeRefusal extends Error {
  readonly code: number;
  constructor(error: WireError) {
    super(error.message ?? '(no message)');
    this.code = error.code;
  }
}

/** A TLS connection that speaks frames, with nothing sent yet. */
export interface FakeConnection {
  readonly socket: TLSSocket;
  send(message: Message): void;
  sendRaw(bytes: Uint8Array): void;
  /** The next message of one of these kinds; others stay queued for those who ask. Fails when the connection ends first. */
  next<Kind extends MessageKind>(...kinds: Kind[]): Promise<MessageOf<Kind>>;
  /** Messages that came and were not asked for. */
  readonly unread: readonly Message[];
  /** Resolves when the engine has ended or reset the connection. */
  readonly ended: Promise<void>;
  /** Destroys the socket without a goodbye. */
  kill(): void;
}

/** An agent with an open control channel. */
export interface FakeAgent extends FakeConnection {
  readonly agentId: string;
  readonly opened: MessageOf<'channel-opened'>;
  /** The reply's properties; throws FakeRefusal. */
  openTunnel(properties: TunnelProperties): Promise<TunnelProperties>;
  /** Opens a dial-back and gives its raw bytes. zeroRtt is true and the secret the request's unless told otherwise. */
  answerDial(
    request: MessageOf<'dial-request'>,
    options?: { zeroRtt?: boolean; secret?: string | undefined },
  ): Promise<TLSSocket>;
  /** Says goodbye and waits for the answer. */
  close(): Promise<void>;
}

/** Opens TLS and then frames; sends nothing. */
export const connectFake = async (target: FakeTarget): Promise<FakeConnection> =>
  framed(await connectTls(target));

/** Opens a control channel; throws FakeRefusal when the engine refuses it. */
export const connectFakeAgent = async (options: FakeAgentOptions): Promise<FakeAgent> => {
  const connection = await connectFake(options);
  const details = detailsOf(options);
  connection.send({
    kind: 'open-channel',
    details,
    ...(options.liveness !== undefined && {
      liveness: { heartbeatIntervalMs: options.liveness, heartbeatTimeoutMs: 0 },
    }),
  });
  const opened = await connection.next('channel-opened', 'channel-refused');
  if (opened.kind === 'channel-refused') throw new FakeRefusal(opened.error);
  let requestCount = 0;
  return {
    ...connection,
    // A getter does not survive the spread.
    get unread() {
      return connection.unread;
    },
    agentId: opened.agentId,
    opened,
    async openTunnel(properties) {
      requestCount += 1;
      connection.send({ kind: 'open-tunnel', requestId: `request-${requestCount}`, properties });
      // Waiters are served in the order in which they began, and the engine answers in the order of the requests.
      const answer = await connection.next('tunnel-opened', 'tunnel-refused');
      if (answer.kind === 'tunnel-refused') throw new FakeRefusal(answer.error);
      return answer.properties;
    },
    async answerDial(request, { zeroRtt = true, ...rest } = {}) {
      const socket = await connectTls(options);
      const secret = 'secret' in rest ? rest.secret : request.secret;
      const { token: _, ...own } = details;
      socket.write(
        encodeFrame({
          kind: 'dial-back',
          details: { ...own, ...(secret !== undefined && { token: secret }) },
          streamId: request.streamId,
          zeroRtt,
        }),
      );
      if (zeroRtt) return socket;
      const answer = await firstMessage(socket);
      if (answer.kind !== 'dial-back-result') throw new Error(`dial-back answered by ${answer.kind}`);
      if (answer.error) throw refusedOn(socket, answer.error);
      return socket;
    },
    async close() {
      connection.send({ kind: 'close-channel' });
      await connection.next('channel-closed');
      connection.socket.end();
      await connection.ended;
    },
  };
};

/** Dials a tunnel by id or name and gives its raw bytes; throws FakeRefusal when zeroRtt is false and the engine refuses. */
export const privateDial = async (
  options: FakeAgentOptions & { target: string; zeroRtt?: boolean; datagramChannel?: boolean },
): Promise<Duplex> => {
  const socket = await connectTls(options);
  const { target, zeroRtt = false, datagramChannel = false } = options;
  socket.write(
    encodeFrame({ kind: 'private-dial', details: detailsOf(options), target, zeroRtt, datagramChannel }),
  );
  if (zeroRtt) return socket;
  const answer = await firstMessage(socket);
  if (answer.kind === 'private-dial-refused') throw refusedOn(socket, answer.error);
  if (answer.kind !== 'private-dial-accepted') throw new Error(`private dial answered by ${answer.kind}`);
  return socket;
};

/** Nobody gets the socket, so nobody would end it. */
const refusedOn = (socket: TLSSocket, error: WireError): FakeRefusal => {
  socket.destroy();
  return new FakeRefusal(error);
};

const detailsOf = ({ token, clientDetails = {} }: FakeAgentOptions): ClientDetails => {
  const details = {
    agent: 'fake-agent',
    channel: 'test',
    version: '1.0.0',
    os: 'linux',
    arch: 'x64',
    protocolVersion: PROTOCOL_VERSION,
    token,
    ...clientDetails,
  };
  return Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined));
};

const connectTls = async (target: FakeTarget): Promise<TLSSocket> => {
  // Node documents allowHalfOpen here, its types forgot it.
  const options: ConnectionOptions & { allowHalfOpen: true } = {
    host: target.host ?? '127.0.0.1',
    port: target.port,
    servername: target.serverName ?? 'localhost',
    ALPNProtocols: target.alpn ?? [AGENT_ALPN],
    minVersion: 'TLSv1.3',
    allowHalfOpen: true,
    rejectUnauthorized: target.ca !== undefined,
    ...(target.ca !== undefined && { ca: target.ca }),
    ...target.clientCertificate,
  };
  const { proxyHeader, below } = target;
  if (below) options.socket = below;
  if (proxyHeader) {
    const below = connectTcp({ host: target.host ?? '127.0.0.1', port: target.port, allowHalfOpen: true });
    below.on('error', () => {}).write(proxyHeader);
    options.socket = below;
  }
  const socket = connect(options);
  await within(once(socket, 'secureConnect'), 'the TLS handshake').catch((cause) => {
    socket.destroy();
    throw cause;
  });
  // Whoever cares for the end of the connection listens for 'close'; an unheard 'error' would end the test process.
  socket.on('error', () => {});
  return socket;
};

const framed = (socket: TLSSocket): FakeConnection => {
  const reader = createFrameReader();
  const unread: Message[] = [];
  const waiters = new Set<() => void>();
  const wake = () => {
    for (const waiter of waiters) waiter();
  };
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      isOver = true;
      wake();
      resolve();
    };
    socket.once('end', end).once('close', end);
  });
  socket.on('data', (chunk: Buffer) => {
    try {
      reader.push(chunk);
      for (let message = reader.next(); message; message = reader.next()) unread.push(message);
    } catch (fault) {
      socket.destroy(fault as Error);
    }
    wake();
  });
  const take = <Kind extends MessageKind>(kinds: Kind[]): MessageOf<Kind> | undefined => {
    const index = unread.findIndex((message) => (kinds as MessageKind[]).includes(message.kind));
    return index < 0 ? undefined : (unread.splice(index, 1)[0] as MessageOf<Kind>);
  };
  return {
    socket,
    unread,
    ended,
    send: (message) => void socket.write(encodeFrame(message)),
    sendRaw: (bytes) => void socket.write(bytes),
    next<Kind extends MessageKind>(...kinds: Kind[]) {
      const found = new Promise<MessageOf<Kind>>((resolve, reject) => {
        const look = () => {
          const message = take(kinds);
          if (!message && !isOver) return;
          waiters.delete(look);
          if (message) resolve(message);
          else reject(new Error(`the connection ended before ${kinds.join(' or ')} came`));
        };
        waiters.add(look);
        look();
      });
      return within(found, kinds.join(' or '));
    },
    kill: () => void socket.destroy(),
  };
};

/** Reads one frame and leaves what follows it in the socket. */
const firstMessage = (socket: TLSSocket): Promise<Message> => {
  const reader = createFrameReader();
  const read = async (): Promise<Message> => {
    for (;;) {
      const chunk: Buffer | null = socket.read();
      if (chunk) reader.push(chunk);
      const message = reader.next();
      if (message) {
        const rest = reader.rest();
        if (rest.length > 0) socket.unshift(rest);
        return message;
      }
      if (socket.readableEnded || socket.destroyed) throw new Error('the connection ended before an answer');
      if (!chunk) await Promise.race(['readable', 'end', 'close'].map((event) => once(socket, event)));
    }
  };
  return within(read(), 'the first message');
};

const within = async <T>(promise: Promise<T>, what: string): Promise<T> => {
  let timeout: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timeout = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), WAIT_MS_MAX);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timeout);
  }
};
