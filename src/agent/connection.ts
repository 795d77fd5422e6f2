/**
 * One TLS connection to the engine that speaks frames, and the connector that opens them.
 *
 * Flow: the control channel keeps speaking frames; a dial-back and a private dial say one thing, then `detach` to raw bytes.
 * Invariant: a connection is read only when someone asks, so that no byte behind a handshake frame is ever taken from its stream.
 * Limits: engineConnectMsMax, channelQueuedBytesMax.
 */
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { breakOff, isEnding } from '../base/break-off.ts';
import { EngineError, fail } from '../base/errors.ts';
import { addressWithPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock, Timer } from '../base/time.ts';
import { createFrameReader, type FrameReader } from '../wire/frame-reader.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import { AGENT_ALPN } from '../wire/handshake.ts';
import type { Message } from '../wire/message.ts';
import type { RelayEnd } from './relay.ts';
import { type Address, eventOf, reasonOf, startTcp } from './tcp.ts';

/** Where the engine is and how to know it. */
export interface EngineTarget extends Address {
  /** PEM of the authorities to trust; the system's when absent. */
  readonly ca?: string | Buffer;
  /** Name that the certificate must carry, when it is not `host`. */
  readonly serverName?: string;
  /** Proves who the agent is, in place of a token. */
  readonly identity?: ClientIdentity;
}

/** A client certificate, followed by its intermediates, and its key. */
export interface ClientIdentity {
  /** PEM. */
  readonly certificate: string;
  /** PEM; a Secret, so that it is not printed with the target. */
  readonly key: Secret;
}

/** A connection that speaks frames. */
export interface EngineConnection {
  send(message: Message): void;
  /** The next message, or undefined where the engine ended the connection. Rejects with what destroyed it. */
  receive(): Promise<Message | undefined>;
  /** Leaves framing; what followed the last message is the first to be read from the stream. */
  detach(): RelayEnd;
  /** Ends it now; what waits on it rejects with the cause. */
  destroy(cause?: EngineError): void;
}

/** Made by {@link createConnector}. */
export interface Connector {
  /** `host:port` of the engine, for people. */
  readonly address: string;
  /** Opens a connection. Rejects with ENGINE_UNREACHABLE or ENGINE_PROTOCOL. */
  connect(): Promise<EngineConnection>;
  /** Destroys every connection that it opened, detached ones too, and opens no more. */
  destroy(): void;
}

/** A connector that resumes TLS sessions: a dial-back is one handshake per stream, and resuming spares the engine a signature. */
export const createConnector = (needs: { clock: Clock }, target: EngineTarget): Connector => {
  const address = addressWithPort(target.host, target.port);
  const unreachable = (reason: string) => fail('ENGINE_UNREACHABLE', { address, reason });
  /** Open TCP connections, and the TLS above each once there is any. */
  const raws = new Map<Socket, TLSSocket | undefined>();
  let isDestroyed = false;
  let context: SecureContext | undefined;
  let session: Buffer | undefined;

  const secure = (raw: Socket): TLSSocket => {
    const name = target.serverName ?? target.host;
    // Reading the certificates of the authorities takes longer than resuming a session: once is enough.
    context ??= createSecureContext({
      minVersion: 'TLSv1.3',
      ...(target.ca !== undefined && { ca: target.ca }),
      ...(target.identity && { cert: target.identity.certificate, key: target.identity.key.reveal() }),
    });
    const socket = connectTls({
      socket: raw,
      secureContext: context,
      // The certificate is checked against `host`. An IP address is no valid SNI.
      host: name,
      servername: isIP(name) ? '' : name,
      ALPNProtocols: [AGENT_ALPN],
      ...(session && { session }),
    });
    // Faults are read from `errored` by those who wait; an unheard event would end the process.
    socket.on('error', () => {});
    socket.on('session', (ticket) => {
      session = ticket;
    });
    return socket;
  };

  const connect = async (): Promise<EngineConnection> => {
    if (isDestroyed) throw fail('ENGINE_CLOSED', { what: 'connection' });
    const raw = startTcp(target);
    raws.set(raw, undefined);
    raw.on('close', () => raws.delete(raw));
    const seconds = LIMITS.engineConnectMsMax / 1000;
    const late = unreachable(`no connection within ${seconds} seconds`);
    const timer = needs.clock.after(LIMITS.engineConnectMsMax, () => raw.destroy(late));
    try {
      // TLS takes over the socket's handle, which may still change until one of the host's addresses has answered.
      await eventOf(raw, 'connect');
      if (raw.destroyed) throw raw.errored;
      const socket = secure(raw);
      raws.set(raw, socket);
      await eventOf(socket, 'secureConnect');
      if (socket.destroyed) throw raw.errored ?? socket.errored;
      if (socket.alpnProtocol !== AGENT_ALPN)
        throw fail('ENGINE_PROTOCOL', { problem: `${address} does not speak ${AGENT_ALPN}` });
      return framed(socket, raw);
    } catch (thrown) {
      raw.destroy();
      throw thrown instanceof EngineError ? thrown : unreachable(reasonOf(thrown as Error | null));
    } finally {
      timer.cancel();
    }
  };

  return {
    address,
    connect,
    destroy() {
      isDestroyed = true;
      for (const [raw, socket] of raws) {
        if (socket && isEnding(socket)) raw.destroy();
        else breakOff(raw);
      }
    },
  };
};

const framed = (socket: TLSSocket, raw: Socket): EngineConnection => {
  const reader = createFrameReader();
  return {
    send(message) {
      socket.write(encodeFrame(message));
      if (socket.writableLength > LIMITS.channelQueuedBytesMax)
        socket.destroy(fail('ENGINE_PROTOCOL', { problem: 'it does not read what the agent sends' }));
    },
    async receive() {
      for (;;) {
        const message = nextMessage(reader);
        if (message) return message;
        const chunk = await readChunk(socket);
        if (!chunk) return undefined;
        reader.push(chunk);
      }
    },
    detach() {
      const rest = reader.rest();
      if (rest.length > 0) socket.unshift(rest);
      return {
        stream: socket,
        // A stream that broke must not look like one that ended: the reset says so, where closing TLS would say nothing. TLS closes
        // behind it; destroying both within the handshake's own callback crashes Node 20. Where an end of TLS is in flight already,
        // the reset would fail and leave the socket open for ever.
        abort: () => (isEnding(socket) ? socket.destroy() : breakOff(raw)),
      };
    },
    destroy: (cause) => void socket.destroy(cause),
  };
};

const nextMessage = (reader: FrameReader): Message | undefined => {
  try {
    return reader.next();
  } catch (cause) {
    throw fail('ENGINE_PROTOCOL', { problem: (cause as EngineError).message }, cause);
  }
};

const readChunk = async (socket: TLSSocket): Promise<Buffer | undefined> => {
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk) return chunk;
    if (socket.readableEnded) return undefined;
    if (socket.destroyed) throw faultOf(socket, () => fail('ENGINE_CLOSED', { what: 'connection' }));
    await eventOf(socket, 'readable');
  }
};

/** Our own fault when we destroyed the socket with one, otherwise one made from the system's reason. */
const faultOf = (socket: TLSSocket, make: (reason: string) => EngineError): EngineError =>
  socket.errored instanceof EngineError ? socket.errored : make(reasonOf(socket.errored));

/** The next message, for who cannot go on without it. Rejects with ENGINE_SILENT, ENGINE_CLOSED or what ended the connection. */
export const receiveAnswer = async (clock: Clock, connection: EngineConnection): Promise<Message> => {
  const timer = destroyWhenSilent(clock, connection);
  try {
    const message = await connection.receive();
    if (!message) throw fail('ENGINE_CLOSED', { what: 'connection' });
    return message;
  } finally {
    timer.cancel();
  }
};

/** Ends the connection unless the timer is cancelled by an answer in time. */
export const destroyWhenSilent = (
  clock: Clock,
  connection: EngineConnection,
  silenceMs: number = LIMITS.engineAnswerMsMax,
): Timer => clock.after(silenceMs, () => connection.destroy(fail('ENGINE_SILENT', { silenceMs })));
