/**
 * The connections of the Engine API, HTTP/1.1 and HTTP/2.
 *
 * Flow: the doorstep hands over a TLS socket; node:http or node:http2 reads its requests; app.ts answers them. A request to switch
 * protocols is answered like any other, unless watch-websocket.ts takes its socket.
 * Invariant: every connection has exactly one deadline running, on the engine's clock, but for those that a watcher holds open and
 * looks after. Node's own time-outs are off, because they only run in a server that listens, and these two never do.
 * Limits: requestHeadBytesMax, headerLinesMax, apiStreamsMax, apiRequestMsMax, apiIdleMsMax, apiAnswerMsMax.
 */
import { createServer as createHttp1Server, type IncomingMessage, ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fail } from '../base/errors.ts';
import { newErrorId } from '../base/ids.ts';
import { addressWithPort, canonicalAddress } from '../base/ip.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Timer } from '../base/time.ts';
import { type ProblemNeeds, rawProblemFrom, reportProblem } from './problem.ts';

export type ApiRequest = IncomingMessage | Http2ServerRequest;
export type ApiResponse = ServerResponse | Http2ServerResponse;

/** Who is at the other end, as far as is known; behind a proxy the doorstep knows more than the socket. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** What TLS agreed on; HTTP/1.1 where it agreed on nothing. */
  readonly alpnProtocol?: string | undefined;
  /** The name that TLS was opened to. */
  readonly serverName?: string | undefined;
}

/** What the lobby uses. */
export interface Connections {
  /** Serves HTTP on a socket until it ends; destroys it when the API is closed. */
  accept(socket: Socket, peer?: Peer): void;
  /** Takes no more requests and resolves when the answers under way are written, each within its deadline. */
  close(): Promise<void>;
  /** Ends every connection now. */
  destroy(): void;
  readonly connectionCount: number;
}

/** What answers may know of the connection that their request came on, and do with it. */
export interface RequestConnections {
  /** The peer of a request as the log names it. */
  remoteOf(request: ApiRequest): string;
  /** The canonical address of its peer; '' when it came on none of these connections. */
  addressOf(request: ApiRequest): string;
  serverNameOf(request: ApiRequest): string | undefined;
  /** Takes the deadline off, for an answer without an end; the function that it gives sets one, in milliseconds. */
  hold(request: ApiRequest): (ms: number) => void;
  /** The socket of a request to switch protocols, which is the caller's from then on; undefined for all others. */
  takeUpgrade(request: ApiRequest): { socket: Duplex; head: Buffer } | undefined;
}

interface Connection {
  readonly address: string;
  readonly socket: Socket;
  readonly remote: string;
  readonly serverName: string | undefined;
  deadline: Timer;
  /** More than one when the caller pipelines, or speaks HTTP/2. */
  openRequestCount: number;
  /** Answers without an end. */
  heldCount: number;
  /** Ends it when nothing is under way any more. */
  finish(): void;
}

const HTTP1_OPTIONS = {
  maxHeaderSize: LIMITS.requestHeadBytesMax,
  headersTimeout: 0,
  requestTimeout: 0,
  keepAliveTimeout: 0,
};

const HTTP2_OPTIONS = {
  maxHeaderListPairs: LIMITS.headerLinesMax,
  maxSessionInvalidFrames: LIMITS.http2InvalidFramesMax,
  maxSessionRejectedStreams: LIMITS.http2RejectedStreamsMax,
  settings: { maxConcurrentStreams: LIMITS.apiStreamsMax, maxHeaderListSize: LIMITS.requestHeadBytesMax },
};

export const createConnections = (
  needs: ProblemNeeds & { readonly clock: Clock },
  answer: (request: ApiRequest, response: ApiResponse) => void,
): Connections & RequestConnections => {
  const { clock } = needs;
  const lifecycle = new Lifecycle();
  const connections = new Map<Duplex, Connection>();
  // Node keeps the socket of an HTTP/2 session to itself.
  const bySession = new WeakMap<object, Connection>();
  const upgrades = new WeakMap<ApiRequest, { socket: Socket; head: Buffer; response: ServerResponse }>();

  const connectionOf = (request: ApiRequest): Connection | undefined => {
    if (!('stream' in request)) return connections.get(request.socket);
    const { session } = request.stream;
    return session && bySession.get(session);
  };

  const setDeadline = (connection: Connection, ms: number) => {
    connection.deadline.cancel();
    if (connection.heldCount === 0) connection.deadline = clock.after(ms, () => connection.socket.destroy());
  };

  const finishIfLast = () => {
    if (!lifecycle.isOpen && connections.size === 0) lifecycle.finish();
  };

  const socketOnClosed = (connection: Connection) => {
    connection.deadline.cancel();
    connections.delete(connection.socket);
    finishIfLast();
  };

  const serve = (connection: Connection, request: ApiRequest, response: ApiResponse) => {
    connection.openRequestCount += 1;
    // A caller that pipelines without reading must not push the deadline of its first answer away.
    if (connection.openRequestCount === 1) setDeadline(connection, LIMITS.apiAnswerMsMax);
    response.once('close', () => {
      connection.openRequestCount -= 1;
      if (connection.socket.destroyed) return;
      const isIdle = connection.openRequestCount === 0;
      setDeadline(connection, isIdle ? LIMITS.apiIdleMsMax : LIMITS.apiAnswerMsMax);
      if (isIdle && !lifecycle.isOpen) connection.finish();
    });
    answer(request, response);
  };

  const http1 = createHttp1Server(HTTP1_OPTIONS);
  http1.maxHeadersCount = LIMITS.headerLinesMax;
  http1.on('request', (request, response) => {
    const connection = connectionOf(request);
    if (!connection) return void request.socket.destroy();
    if (!lifecycle.isOpen) response.shouldKeepAlive = false;
    serve(connection, request, response);
  });

  http1.on('upgrade', (request, _, head) => {
    const { socket } = request;
    const connection = connectionOf(request);
    // node:http has let go of the socket. Nobody who waits for answers switches protocols behind them.
    socket.on('error', ignore);
    if (!connection || connection.openRequestCount > 0) return void socket.destroy();
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.destroySoon());
    upgrades.set(request, { socket, head, response });
    serve(connection, request, response);
  });

  http1.on('clientError', (fault: NodeJS.ErrnoException, socket) => {
    const connection = connections.get(socket);
    // Bytes of ours would end up inside an answer that is being written.
    if (!connection || connection.openRequestCount > 0 || !socket.writable || fault.code === 'ECONNRESET')
      return void socket.destroy();
    const error =
      fault.code === 'HPE_HEADER_OVERFLOW'
        ? fail('REQUEST_HEAD_TOO_LARGE', { limit: LIMITS.requestHeadBytesMax })
        : fail('REQUEST_MALFORMED', { problem: 'its head cannot be read' });
    const errorId = newErrorId();
    reportProblem(needs, error, { errorId });
    socket.end(rawProblemFrom(error, errorId));
  });

  const http2 = createHttp2Server(HTTP2_OPTIONS);
  http2.on('request', (request, response) => {
    const connection = connectionOf(request);
    if (connection) serve(connection, request, response);
  });

  const acceptHttp2 = (connection: Connection) => {
    const { socket } = connection;
    const sessionOnMade = (session: ServerHttp2Session) => {
      bySession.set(session, connection);
      connection.finish = () => session.close();
    };
    // Node makes the session, and tells of it, before `emit` returns; whatever is told later is about another connection.
    http2.once('session', sessionOnMade);
    http2.emit('connection', socket);
    http2.off('session', sessionOnMade);
    // The doorstep lets each direction end by itself; a peer that ends one cannot be spoken HTTP/2 with.
    socket.once('end', () => socket.destroy());
  };

  return {
    accept(socket, peer = socket) {
      if (!lifecycle.isOpen || socket.destroyed) return void socket.destroy();
      const address = canonicalAddress(peer.remoteAddress);
      const connection: Connection = {
        socket,
        address,
        remote: addressWithPort(address, peer.remotePort ?? 0),
        serverName: peer.serverName,
        deadline: clock.after(LIMITS.apiRequestMsMax, () => socket.destroy()),
        openRequestCount: 0,
        heldCount: 0,
        finish: () => socket.destroySoon(),
      };
      connections.set(socket, connection);
      socket.once('close', () => socketOnClosed(connection));
      if (peer.alpnProtocol === 'h2') acceptHttp2(connection);
      else http1.emit('connection', socket);
    },

    remoteOf: (request) => connectionOf(request)?.remote ?? '',
    addressOf: (request) => connectionOf(request)?.address ?? '',
    serverNameOf: (request) => connectionOf(request)?.serverName,

    hold(request) {
      const connection = connectionOf(request);
      if (!connection) return ignore;
      let isHeld = true;
      connection.heldCount += 1;
      connection.deadline.cancel();
      return (ms) => {
        if (isHeld) connection.heldCount -= 1;
        isHeld = false;
        if (!connection.socket.destroyed) setDeadline(connection, ms);
      };
    },

    takeUpgrade(request) {
      const upgrade = upgrades.get(request);
      upgrade?.response.detachSocket(upgrade.socket);
      return upgrade;
    },

    close() {
      if (lifecycle.beginClosing())
        for (const connection of connections.values())
          if (connection.openRequestCount === 0) connection.finish();
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

// 'close' follows every error and is what counts.
const ignore = () => {};
