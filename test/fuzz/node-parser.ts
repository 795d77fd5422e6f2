/** Reads a connection with node:http, over in-memory connections: the oracle. */
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Seen, SeenMessage } from './seen.ts';

// As much as ours takes.
const HEAD_BYTES_MAX = 65_536;

type ParserError = Error & { readonly reason?: string };

/** The far end of a connection on which nobody reads the answers. */
const createFarEnd = (): Duplex =>
  new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done();
    },
  }).on('error', () => {});

const watchBody = (received: IncomingMessage, message: SeenMessage): void => {
  received.on('data', (chunk: Buffer) => {
    message.body += chunk.toString('latin1');
  });
  received.on('end', () => {
    message.isWhole = received.complete;
    message.trailers = received.rawTrailers;
  });
  received.on('error', () => {});
};

const seenFrom = (received: IncomingMessage, ...line: (string | number)[]): SeenMessage => ({
  start: [...line, received.httpVersionMinor],
  headers: received.rawHeaders,
  body: '',
  trailers: [],
  isWhole: false,
});

/** One connection; what is seen of it is complete once `settled` has resolved. */
export interface Oracle {
  readonly seen: Seen;
  end(): void;
}

/** The turn after the next: by then a connection in memory has been read, and its bodies have been handed on. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Makes what reads the requests of one connection after the other. */
export const createRequestOracle = (): ((bytes: Buffer) => Oracle) => {
  const seenBy = new WeakMap<Duplex, Seen>();
  const take = (received: IncomingMessage): SeenMessage => {
    const message = seenFrom(received, received.method ?? '', received.url ?? '');
    seenBy.get(received.socket)?.messages.push(message);
    return message;
  };
  const onRequest = (received: IncomingMessage): void => watchBody(received, take(received));
  const server: Server = createServer(
    { maxHeaderSize: HEAD_BYTES_MAX, insecureHTTPParser: false },
    onRequest,
  );
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
  server.on('connect', (received: IncomingMessage) => {
    take(received).isWhole = true;
  });
  server.on('clientError', (error: ParserError, socket: Duplex) => {
    const seen = seenBy.get(socket);
    if (seen) seen.fault ??= error.reason ?? error.message;
  });
  return (bytes) => {
    const connection = createFarEnd();
    const seen: Seen = { messages: [], fault: undefined, isOver: false };
    seenBy.set(connection, seen);
    server.emit('connection', connection);
    connection.push(bytes);
    return { seen, end: () => void connection.destroy() };
  };
};

/** Reads the response to a GET, and interim ones before it. */
export const readResponseWithNode = (bytes: Buffer): Oracle => {
  const connection = createFarEnd();
  const seen: Seen = { messages: [], fault: undefined, isOver: false };
  const options = { maxHeaderSize: HEAD_BYTES_MAX, insecureHTTPParser: false };
  const asked = request({ ...options, createConnection: () => connection as Socket });
  const take = (received: IncomingMessage): SeenMessage => {
    const message = seenFrom(received, received.statusCode ?? 0, received.statusMessage ?? '');
    seen.messages.push(message);
    return message;
  };
  asked.on('information', (interim) =>
    seen.messages.push({
      start: [interim.statusCode, interim.statusMessage, interim.httpVersionMinor],
      headers: interim.rawHeaders,
      body: '',
      trailers: [],
      isWhole: true,
    }),
  );
  asked.on('response', (received) => watchBody(received, take(received)));
  asked.on('upgrade', (received) => {
    take(received).isWhole = true;
  });
  asked.on('error', (error: ParserError) => {
    seen.fault ??= error.reason ?? error.message;
  });
  asked.end();
  connection.push(bytes);
  return { seen, end: () => void asked.destroy() };
};
