/**
 * The HTTP/1.1 connections of the Engine API.
 *
 * Flow: the doorstep hands over a TLS socket; node:http reads its requests; app.ts answers them.
 * Invariant: every connection has exactly one deadline running, on the engine's clock. Node's own time-outs are off, because they only
 * run in a server that listens, and this one never does.
 * Limits: requestHeadBytesMax, headerLinesMax, apiRequestMsMax, apiIdleMsMax, apiAnswerMsMax.
 */
import { createServer, type RequestListener, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type EngineError, fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort, canonicalAddress } from '../base/ip.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock, Timer } from '../base/time.ts';
import { problemFrom, reportProblem } from './problem.ts';

/** Who is at the other end, as far as is known; behind a proxy the doorstep knows more than the socket. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** What app.ts makes of connections, and the lobby uses. */
export interface Connections {
  /** Serves HTTP/1.1 on a socket until it ends; destroys it when the API is closed. */
  accept(socket: Socket, peer?: Peer): void;
  /** The peer of a socket as the log names it. */
  remoteOf(socket: Socket): string;
  /** The canonical address of a socket's peer; '' when it is none of these connections. */
  addressOf(socket: Socket): string;
  /** Takes no more requests and resolves when the answers under way are written, each within its deadline. */
  close(): Promise<void>;
  /** Ends every connection now. */
  destroy(): void;
  readonly connectionCount: number;
}

interface Connection {
  readonly address: string;
  readonly remote: string;
  deadline: Timer;
  /** More than one when the caller pipelines. */
  openRequestCount: number;
}

export const createConnections = (
  { log, clock }: { log: Logger; clock: Clock },
  answer: RequestListener,
): Connections => {
  const lifecycle = new Lifecycle();
  const connections = new Map<Duplex, Connection>();
  const server = createServer({
    maxHeaderSize: LIMITS.requestHeadBytesMax,
    headersTimeout: 0,
    requestTimeout: 0,
    keepAliveTimeout: 0,
  });
  server.maxHeadersCount = LIMITS.headerLinesMax;

  const setDeadline = (socket: Duplex, connection: Connection, ms: number) => {
    connection.deadline.cancel();
    connection.deadline = clock.after(ms, () => socket.destroy());
  };

  const finishIfLast = () => {
    if (!lifecycle.isOpen && connections.size === 0) lifecycle.finish();
  };

  const socketOnClosed = (socket: Duplex) => {
    connections.get(socket)?.deadline.cancel();
    connections.delete(socket);
    finishIfLast();
  };

  server.on('request', (request, response) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (!connection) return void socket.destroy();
    connection.openRequestCount += 1;
    // A caller that pipelines without reading must not push the deadline of its first answer away.
    if (connection.openRequestCount === 1) setDeadline(socket, connection, LIMITS.apiAnswerMsMax);
    if (!lifecycle.isOpen) response.shouldKeepAlive = false;
    response.once('close', () => {
      connection.openRequestCount -= 1;
      if (socket.destroyed) return;
      const isIdle = connection.openRequestCount === 0;
      setDeadline(socket, connection, isIdle ? LIMITS.apiIdleMsMax : LIMITS.apiAnswerMsMax);
      if (isIdle && !lifecycle.isOpen) socket.destroySoon();
    });
    answer(request, response);
  });

  server.on('clientError', (fault: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket);
    // Bytes of ours would end up inside an answer that is being written.
    if (!connection || connection.openRequestCount > 0 || !socket.writable || fault.code === 'ECONNRESET')
      return void socket.destroy();
    const error =
      fault.code === 'HPE_HEADER_OVERFLOW'
        ? fail('REQUEST_HEAD_TOO_LARGE', { limit: LIMITS.requestHeadBytesMax })
        : fail('REQUEST_MALFORMED', { problem: 'its head cannot be read' });
    const errorId = newErrorId();
    reportProblem(log, error, { errorId });
    socket.end(rawAnswer(error, errorId));
  });

  return {
    accept(socket, peer = socket) {
      if (!lifecycle.isOpen || socket.destroyed) return void socket.destroy();
      const deadline = clock.after(LIMITS.apiRequestMsMax, () => socket.destroy());
      const address = canonicalAddress(peer.remoteAddress);
      const remote = addressWithPort(address, peer.remotePort ?? 0);
      connections.set(socket, { address, remote, deadline, openRequestCount: 0 });
      socket.once('close', () => socketOnClosed(socket));
      server.emit('connection', socket);
    },

    remoteOf: (socket) => connections.get(socket)?.remote ?? '',
    addressOf: (socket) => connections.get(socket)?.address ?? '',

    close() {
      if (lifecycle.beginClosing())
        for (const [socket, { openRequestCount }] of connections)
          if (openRequestCount === 0) (socket as Socket).destroySoon();
      finishIfLast();
      return new Promise((resolve) => lifecycle.onClosed(() => resolve()));
    },

    destroy() {
      lifecycle.beginClosing();
      for (const socket of connections.keys()) socket.destroy();
      finishIfLast();
    },

    get connectionCount() {
      return connections.size;
    },
  };
};

/** An answer to what was no request, for which node:http makes no response object. */
const rawAnswer = (error: EngineError, errorId: string): string => {
  const body = JSON.stringify(problemFrom(error, errorId));
  const { status } = error.row;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
    '',
    body,
  ].join('\r\n');
};
