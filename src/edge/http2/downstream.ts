/**
 * HTTP/2 connections of downstreams, over node:http2.
 *
 * Flow: a session for each connection, an Exchange for each of its streams; each stream is routed by its own authority.
 * Invariant: a connection carries either CONNECT requests or others, never both (421): raw bytes are bound to the server name of the
 * connection, requests to their own authority. An answer that is cut short ends in RST_STREAM, never in END_STREAM.
 * Limits: requestsPerConnectionMax, requestHeadBytesMax, lingerMsMax, http2QuietMsMax, the idle time; floods of resets, settings and
 * continuations are ended by node:http2 itself, which reads no further while its answers to pings do not leave.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { type EngineError, engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { failedRecord } from '../../base/record.ts';
import type { Swept } from '../../base/time.ts';
import type { EdgeConnection } from '../connection.ts';
import type { EdgeContext } from '../context.ts';
import { Exchange } from '../exchange.ts';
import { downstreamHeaders, type HeaderFacts, passableTrailers } from '../headers.ts';
import type { HeaderList, ResponseHead } from '../http1/head.ts';
import { refusalFrom } from '../refusal.ts';
import { type DownstreamRequest, requestFromHttp2 } from '../request.ts';
import { type AnswerBody, type Downstream, NO_TRAILERS } from '../sides.ts';
import { headerListFrom, headerObjectFrom, http2AnswerFrom } from './headers.ts';
import { createProbe, type Probe } from './probe.ts';
import { brokenOffBy, relayCodeOf, resetStream } from './reset.ts';

/** Speaks HTTP/2 on a terminated connection. */
export const serveHttp2 = (
  edge: EdgeContext,
  socket: Duplex,
  connection: EdgeConnection,
): { drain(): void } => {
  const session = performServerHandshake(socket, {
    maxHeaderListPairs: LIMITS.headerLinesMax,
    maxSendHeaderBlockLength: LIMITS.http2HeaderBlockBytesMax,
    maxSessionInvalidFrames: LIMITS.http2InvalidFramesMax,
    maxSessionRejectedStreams: LIMITS.http2RejectedStreamsMax,
    settings: {
      enableConnectProtocol: true,
      maxConcurrentStreams: edge.options.requestsPerConnectionMax,
      maxHeaderListSize: LIMITS.requestHeadBytesMax,
      initialWindowSize: LIMITS.http2WindowBytes,
    },
  });
  session.setLocalWindowSize(4 * LIMITS.http2WindowBytes);
  return new Http2Session(edge, socket, session, connection);
};

/** One connection. */
class Http2Session implements Swept {
  readonly #edge: EdgeContext;
  readonly #socket: Duplex;
  readonly #session: ServerHttp2Session;
  readonly #connection: EdgeConnection;
  readonly #downstreams = new Set<Http2Downstream>();
  readonly #probe: Probe;
  #idleSinceMs: number;
  /** Whether the first request was a plain CONNECT; all others must then be, or not be. */
  #carriesConnects: boolean | undefined;

  constructor(edge: EdgeContext, socket: Duplex, session: ServerHttp2Session, connection: EdgeConnection) {
    this.#edge = edge;
    this.#socket = socket;
    this.#session = session;
    this.#connection = connection;
    this.#probe = createProbe(session, socket);
    edge.sweep.add(this);
    this.#idleSinceMs = edge.sweep.nowMs;
    session.on('stream', (stream, headers, flags, ...rest: unknown[]) =>
      this.#begin(stream, headers, rest[0] as string[], (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0),
    );
    // What ends a session ends its streams, and each of those tells its exchange.
    session.on('error', () => {});
    // The doorstep lets each direction of a connection end by itself; a peer that ends one cannot be spoken HTTP/2 with.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => edge.sweep.remove(this));
  }

  checkDeadline(nowMs: number): void {
    for (const downstream of this.#downstreams) downstream.checkDeadline(nowMs);
    if (this.#downstreams.size > 0) return this.#probe.check(nowMs, this.#quietMsMax);
    const idleMs = nowMs - this.#idleSinceMs;
    if (this.#session.closed || this.#session.destroyed) this.#checkGoodbye(idleMs);
    else if (this.#edge.isDraining() || idleMs > this.#edge.options.idleMs) this.#close(nowMs);
  }

  /** A peer that is gone without a word must not hold up the end of the engine. */
  get #quietMsMax(): number {
    return this.#edge.isDraining() ? LIMITS.http2DrainQuietMsMax : LIMITS.http2QuietMsMax;
  }

  /** Takes no further streams, lets those that run finish, then closes. */
  drain(): void {
    this.#close(this.#edge.sweep.nowMs);
  }

  #close(nowMs: number): void {
    this.#idleSinceMs = nowMs;
    this.#session.close();
  }

  /** node:http2 waits without a deadline for its last bytes to leave, and for the peer to go. */
  #checkGoodbye(sinceMs: number): void {
    const msMax = this.#socket.writableFinished ? LIMITS.lingerMsMax : this.#edge.options.idleMs;
    if (sinceMs > msMax) this.#socket.destroy();
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: string[], isWhole: boolean): void {
    // What a peer takes back in the same breath is over before it is told; nothing would tell of its end a second time.
    if (stream.closed || stream.destroyed) return void stream.on('error', () => {});
    const downstream = new Http2Downstream(this.#edge, stream, this.#connection);
    this.#downstreams.add(downstream);
    stream.once('close', () => {
      this.#downstreams.delete(downstream);
      this.#idleSinceMs = this.#edge.sweep.nowMs;
    });
    downstream.begin(headers, raw, isWhole, (request) => this.#admit(request));
  }

  #admit(request: DownstreamRequest): void {
    this.#carriesConnects ??= request.isConnect;
    if (this.#carriesConnects !== request.isConnect) throw fail('MISDIRECTED_REQUEST');
  }
}

/** One stream, as an exchange sees it. */
class Http2Downstream implements Downstream {
  readonly connection: EdgeConnection;
  readonly isTrustedProxy: boolean;
  readonly takesFramed = false;
  readonly #edge: EdgeContext;
  readonly #stream: ServerHttp2Stream;
  #exchange: Exchange | undefined;
  #request: DownstreamRequest | undefined;
  #isBodyStarted = false;
  /** The newest part of the answer's body, until `flush`: what turns out to be the last leaves in one frame with the end. */
  #held: Buffer | undefined;
  #requestTrailers: HeaderList = NO_TRAILERS;
  #answerTrailers: HeaderList = NO_TRAILERS;
  /** When something of an answer that is given last moved; undefined before, and after a switch of protocols. */
  #leavingSinceMs: number | undefined;
  #leavingBytes = 0;

  constructor(edge: EdgeContext, stream: ServerHttp2Stream, connection: EdgeConnection) {
    this.#edge = edge;
    this.#stream = stream;
    this.connection = connection;
    this.isTrustedProxy = edge.trustedProxies.has(connection.remoteAddress);
    stream.on('error', () => this.#gone());
    stream.on('aborted', () => this.#gone());
    stream.on('close', () => this.#gone());
    stream.on('drain', () => this.#exchange?.downstreamDrained());
    stream.on('trailers', (_trailers, _flags, ...rest: unknown[]) => {
      this.#requestTrailers = headerListFrom(rest[0] as string[]);
    });
  }

  /**
   * @param raw the headers once more, as they came
   * @param isWhole whether the request has no body
   * @param admit throws when this connection may not carry the request
   */
  begin(
    headers: IncomingHttpHeaders,
    raw: readonly string[],
    isWhole: boolean,
    admit: (request: DownstreamRequest) => void,
  ): void {
    try {
      const pseudo = headers as Record<string, string | undefined>;
      this.#request = requestFromHttp2(
        {
          method: pseudo[':method'] ?? '',
          path: pseudo[':path'],
          authority: pseudo[':authority'],
          protocol: pseudo[':protocol'],
        },
        headerListFrom(raw),
        isWhole,
        this.connection.serverName,
      );
      admit(this.#request);
      this.#exchange = new Exchange(this.#edge, this, this.#request);
      this.#exchange.begin();
    } catch (thrown) {
      const error =
        thrown instanceof SyntaxError
          ? fail('REQUEST_MALFORMED', { problem: thrown.message })
          : engineErrorFrom(thrown);
      this.#edge.record(failedRecord('exchange', this.connection, error));
      this.refuse(error);
    }
  }

  checkDeadline(nowMs: number): void {
    if (this.#exchange) this.#exchange.checkDeadline(nowMs);
    else if (this.#leavingSinceMs !== undefined) this.#checkLeaving(nowMs, this.#leavingSinceMs);
  }

  startBody(): void {
    if (this.#request?.framing.kind === 'none') {
      if (!this.#request.isConnect && this.#request.upgrade === undefined) this.#stream.resume();
      return this.#exchange?.requestEnd(NO_TRAILERS);
    }
    // A retry asks for it again, and nothing of it has gone yet.
    if (this.#isBodyStarted) return this.resumeBody();
    this.#isBodyStarted = true;
    this.#stream.on('data', (chunk: Buffer) => this.#exchange?.requestBody(chunk));
    this.#stream.on('end', () => this.#exchange?.requestEnd(passableTrailers(this.#requestTrailers)));
  }

  pauseBody(): void {
    this.#stream.pause();
  }

  resumeBody(): void {
    this.#stream.resume();
  }

  writeInterim(head: ResponseHead, facts: HeaderFacts): void {
    if (this.#isOver || this.#stream.headersSent) return;
    this.#stream.additionalHeaders(
      http2AnswerFrom(head.status, downstreamHeaders(head.headers, facts, false)),
    );
  }

  writeHead(head: ResponseHead, facts: HeaderFacts, body: AnswerBody): void {
    if (this.#isOver) return;
    const headers = http2AnswerFrom(head.status, downstreamHeaders(head.headers, facts, false));
    const waitForTrailers = body === 'open';
    if (waitForTrailers)
      this.#stream.once('wantTrailers', () =>
        this.#stream.sendTrailers(headerObjectFrom(passableTrailers(this.#answerTrailers))),
      );
    this.#stream.respond(headers, { endStream: body === 'none', waitForTrailers });
  }

  writeBody(chunk: Buffer): boolean {
    this.flush();
    this.#held = chunk;
    // Without a need to drain there would be no 'drain' to wait for.
    return !this.#stream.writableNeedDrain || this.#stream.writableLength < LIMITS.writeBufferBytesMax;
  }

  /** The head left with `respond`. */
  flush(): void {
    if (this.#held && this.#stream.writable) this.#stream.write(this.#held);
    this.#held = undefined;
  }

  end(trailers: HeaderList): void {
    this.#answerTrailers = trailers;
    this.#stream.end(this.#held);
    this.#held = undefined;
    this.#leave();
  }

  refuse(error: EngineError): void {
    if (this.#isOver || this.#stream.headersSent) return this.destroy();
    const { status, headers, body } = refusalFrom(error, this.#request);
    this.#stream.respond(http2AnswerFrom(status, headers), { endStream: body === undefined });
    if (body) this.#stream.end(body);
    this.#leave();
  }

  switchProtocol(head: ResponseHead, facts: HeaderFacts): Duplex {
    this.#exchange = undefined;
    const headers = headerObjectFrom(downstreamHeaders(head.headers, facts, false));
    // RFC 8441 5: the key of HTTP/1.1's handshake is ours alone, and so is its answer.
    delete headers['sec-websocket-accept'];
    if (!this.#isOver) this.#stream.respond({ ...headers, ':status': 200 });
    return brokenOffBy(this.#stream, relayCodeOf(this.#request as DownstreamRequest));
  }

  destroy(): void {
    resetStream(this.#stream, constants.NGHTTP2_INTERNAL_ERROR);
    this.#leave();
  }

  /** Whether nothing can be said on the stream any more; node:http2 throws at those who try. */
  get #isOver(): boolean {
    return this.#stream.closed || this.#stream.destroyed;
  }

  /** The answer is given; what still comes of the request is of no use. */
  #leave(): void {
    this.#exchange = undefined;
    this.#leavingSinceMs = this.#edge.sweep.nowMs;
    if (!this.#stream.readableEnded) this.#stream.on('data', () => this.#stopUpload()).resume();
  }

  /** RFC 9113 8.1. Not before the whole answer has left: the reset would overtake what is left of it. */
  #stopUpload(): void {
    const { localClose, remoteClose } = this.#stream.state;
    if (localClose === 1 && remoteClose === 0) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #checkLeaving(nowMs: number, sinceMs: number): void {
    this.#stopUpload();
    const { writableLength } = this.#stream;
    if (writableLength !== this.#leavingBytes) {
      this.#leavingBytes = writableLength;
      this.#leavingSinceMs = nowMs;
    } else if (nowMs - sinceMs > this.#edge.options.idleMs) {
      resetStream(this.#stream, constants.NGHTTP2_CANCEL);
      // A peer that reads nothing does not take the reset either.
      this.#stream.destroy();
    }
  }

  #gone(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.downstreamGone(fail('REQUEST_ABORTED'));
  }
}
