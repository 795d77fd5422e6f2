/**
 * WebSocket messages there and back: the server behind the upstream, and the client that takes the time.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { latencyFrom, type Sample } from './figures.ts';
import { readMeter, type Subject, sinceReading } from './subject.ts';

const MESSAGE = Buffer.alloc(128, 'rstream ');
const OPEN_MS_MAX = 10_000;

/** A server on loopback that sends each message back. It lives in the bench's own process, which waits meanwhile. */
export const startEcho = async (): Promise<{ port: number; stop(): Promise<void> }> => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
};

/** Sends messages of 128 bytes over one WebSocket for a time, each one when the one before is back. */
export const echoMessages = async (subject: Subject, seconds: number): Promise<Sample> => {
  const { host, port } = subject;
  const socket = new WebSocket(`wss://${host}:${port}/echo`, {
    // Names below `localhost` are not resolved by every system.
    lookup: (_host, { all }, done) =>
      all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
    rejectUnauthorized: false,
    perMessageDeflate: false,
    handshakeTimeout: OPEN_MS_MAX,
  });
  await once(socket, 'open');
  const before = readMeter(subject);
  const endMs = before.atMs + 1000 * seconds;
  const times: number[] = [];
  try {
    for (let sentMs = before.atMs; sentMs < endMs; ) {
      socket.send(MESSAGE);
      await once(socket, 'message', { signal: AbortSignal.timeout(OPEN_MS_MAX) });
      const backMs = performance.now();
      times.push(backMs - sentMs);
      sentMs = backMs;
    }
    return { count: times.length, ...sinceReading(subject, before), ...latencyFrom(times) };
  } finally {
    socket.terminate();
  }
};
