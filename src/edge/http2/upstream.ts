/**
 * HTTP/2 towards an upstream, over one agent stream: many exchanges at once, over node:http2.
 *
 * Flow: `connectHttp2` waits for the upstream's SETTINGS; the pool then lends the connection as often as those allow; each exchange
 * is one Http2Upstream.
 * Invariant: an exchange that is given up resets its own stream and nothing else. Only END_STREAM ends an answer.
 * Limits: http2StreamsMax per connection, upstreamHandshakeMsMax for the SETTINGS, http2QuietMsMax, responseHeadBytesMax, interimResponsesMax.
 */
import { STATUS_CODES } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import { EngineError, engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Clock, Sweep, Swept } from '../../base/time.ts';
import { type ForwardedFacts, factsFrom, passableTrailers, upstreamHeaders } from '../headers.ts';
import type { HeaderList, ResponseHead } from '../http1/head.ts';
import type { DownstreamRequest } from '../request.ts';
import {
  type Keeper,
  NO_TRAILERS,
  type ResponseSink,
  type Upstream,
  type UpstreamConnection,
} from '../sides.ts';
import { acceptFor } from '../websocket.ts';
import { headerListFrom, headerObjectFrom, http2HeadersFrom } from './headers.ts';
import { createProbe, type Probe } from './probe.ts';
import { brokenOffBy, relayCodeOf, resetStream } from './reset.ts';

/**
 * Begins HTTP/2 with prior knowledge on a stream.
 * Rejects with UPSTREAM_MALFORMED when the upstream does not speak it, UPSTREAM_CLOSED when it ends first, UPSTREAM_TIMEOUT when it says
 * nothing; the stream is then gone.
 */
export const connectHttp2 = (
  socket: Duplex,
  pool: Keeper,
  { clock, sweep }: { clock: Clock; sweep: Sweep },
): Promise<UpstreamConnection> =>
  new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(fail('UPSTREAM_CLOSED'));
    const session = connect('http://upstream', {
      createConnection: () => socket,
      maxHeaderListPairs: LIMITS.headerLinesMax,
      settings: {
        enablePush: false,
        initialWindowSize: LIMITS.http2WindowBytes,
        maxHeaderListSize: LIMITS.responseHeadBytesMax,
      },
    });
    session.setLocalWindowSize(4 * LIMITS.http2WindowBytes);
    const deadline = clock.after(LIMITS.upstreamHandshakeMsMax, () => {
      reject(fail('UPSTREAM_TIMEOUT', { seconds: LIMITS.upstreamHandshakeMsMax / 1_000 }));
      socket.destroy();
    });
    // After the first SETTINGS an error ends every stream, and each of those tells its exchange.
    session.on('error', (error) => reject(fail('UPSTREAM_MALFORMED', {}, error)));
    // Agents' streams let each direction end by itself; an upstream that ends one cannot be spoken HTTP/2 with.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => deadline.cancel());
    // The session tells of its error first.
    session.once('close', () => reject(fail('UPSTREAM_CLOSED')));
    session.once('remoteSettings', () => {
      deadline.cancel();
      resolve(new Http2Connection(session, socket, pool, sweep));
    });
  });

/** A session that the pool lends out. */
class Http2Connection implements UpstreamConnection, Swept {
  /** By the first SETTINGS: node:http2 itself keeps to later ones, and the pool counts on one number. */
  readonly capacity: number;
  lentCount = 0;
  idleSinceMs = 0;
  readonly session: ClientHttp2Session;
  readonly #socket: Duplex;
  readonly #pool: Keeper;
  readonly #probe: Probe;
  #exchangeCount = 0;

  constructor(session: ClientHttp2Session, socket: Duplex, pool: Keeper, sweep: Sweep) {
    this.session = session;
    this.#socket = socket;
    this.#pool = pool;
    this.#probe = createProbe(session, socket);
    const wanted = session.remoteSettings.maxConcurrentStreams ?? LIMITS.http2StreamsMax;
    this.capacity = Math.max(1, Math.min(wanted, LIMITS.http2StreamsMax));
    sweep.add(this);
    session.once('goaway', () => pool.retire(this));
    socket.once('close', () => {
      pool.retire(this);
      sweep.remove(this);
    });
  }

  checkDeadline(nowMs: number): void {
    if (this.lentCount > 0) this.#probe.check(nowMs, LIMITS.http2QuietMsMax);
  }

  get isRetired(): boolean {
    return this.session.closed || this.session.destroyed || this.#socket.destroyed;
  }

  /** Whether an upgrade can travel as an extended CONNECT (RFC 8441). */
  get takesUpgrades(): boolean {
    return this.session.remoteSettings.enableConnectProtocol === true;
  }

  open(): Upstream {
    this.#exchangeCount += 1;
    return new Http2Upstream(this, this.#exchangeCount > 1);
  }

  /** An exchange on it is over. */
  release(): void {
    this.#pool.release(this);
    // After a GOAWAY node:http2 says goodbye and waits for the upstream to go, without a deadline.
    if (this.lentCount === 0 && this.isRetired) this.#socket.destroy();
  }

  destroy(): void {
    this.#pool.retire(this);
    this.#socket.destroy();
  }
}

/** One exchange. */
class Http2Upstream implements Upstream {
  readonly takesFramed = false;
  readonly isReused: boolean;
  readonly #connection: Http2Connection;
  #sink: ResponseSink | undefined;
  #request: DownstreamRequest | undefined;
  #stream: ClientHttp2Stream | undefined;
  #trailers: HeaderList = NO_TRAILERS;
  #interimCount = 0;
  #hasAnswered = false;
  #isWhole = false;
  #isReturned = false;

  constructor(connection: Http2Connection, isReused: boolean) {
    this.#connection = connection;
    this.isReused = isReused;
  }

  begin(sink: ResponseSink, request: DownstreamRequest, forwarded: ForwardedFacts | undefined): void {
    this.#sink = sink;
    this.#request = request;
    if (this.#connection.isRetired) {
      // The session ended in this very turn. The exchange is in the middle of asking, so it hears of it in the next.
      process.nextTick(() => this.#fail(undefined));
      return;
    }
    const hasEnd = request.framing.kind === 'none' && !request.isConnect && request.upgrade === undefined;
    const { headers, facts, authority } = request;
    const stream = this.#connection.session.request(
      http2HeadersFrom(request, upstreamHeaders(headers, facts, authority, forwarded, true)),
      { endStream: hasEnd, waitForTrailers: request.framing.kind === 'chunked' },
    );
    this.#stream = stream;
    this.#listen(stream);
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (_headers, _flags, ...rest: unknown[]) =>
      this.#guard(() => this.#interim(rest[0] as string[])),
    );
    stream.on('response', (_headers, flags, ...rest: unknown[]) =>
      this.#guard(() =>
        this.#respond(stream, rest[0] as string[], (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0),
      ),
    );
    stream.on('trailers', (_trailers, _flags, ...rest: unknown[]) => {
      this.#trailers = headerListFrom(rest[0] as string[]);
    });
    stream.on('error', (error) => this.#fail(error));
    stream.on('close', () => this.#closed());
    stream.on('drain', () => this.#sink?.upstreamDrained());
    // A reset without an error looks like an end to node:http2; but then the stream is closed before its end is pushed.
    const { push } = stream;
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      this.#isWhole ||= chunk === null && !stream.closed;
      return push.call(stream, chunk, encoding);
    };
  }

  sendBody(chunk: Buffer): boolean {
    const stream = this.#stream;
    if (!stream?.writable) return true;
    return stream.write(chunk) || stream.writableLength < LIMITS.writeBufferBytesMax;
  }

  endRequest(trailers: HeaderList): void {
    const stream = this.#stream;
    if (!stream?.writable) return;
    stream.once('wantTrailers', () => stream.sendTrailers(headerObjectFrom(passableTrailers(trailers))));
    if (!this.#request?.isConnect && this.#request?.upgrade === undefined) stream.end();
  }

  flush(): void {}

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  abandon(): void {
    this.#sink = undefined;
    if (this.#stream) resetStream(this.#stream, constants.NGHTTP2_CANCEL);
    this.#giveBack();
  }

  /** What is thrown in a listener of node:http2 would end the process. */
  #guard(listen: () => void): void {
    try {
      listen();
    } catch (thrown) {
      this.#fail(
        thrown instanceof SyntaxError ? fail('UPSTREAM_MALFORMED', {}, thrown) : engineErrorFrom(thrown),
      );
    }
  }

  #interim(received: readonly string[]): void {
    this.#hasAnswered = true;
    this.#interimCount += 1;
    if (this.#interimCount > LIMITS.interimResponsesMax) throw new SyntaxError('too many interim responses');
    const head = responseHeadFrom(received);
    this.#sink?.interim(head, factsFrom(head.headers));
  }

  #respond(stream: ClientHttp2Stream, received: readonly string[], isWhole: boolean): void {
    const request = this.#request as DownstreamRequest;
    const sink = this.#sink;
    if (!sink) return;
    this.#hasAnswered = true;
    const head = responseHeadFrom(received);
    const isSuccess = head.status >= 200 && head.status < 300;
    if (isSuccess && (request.isConnect || request.upgrade !== undefined))
      return this.#switch(sink, stream, request, head);
    const hasBody = !isWhole && request.method !== 'HEAD' && head.status !== 204 && head.status !== 304;
    const facts = factsFrom(head.headers);
    sink.responseHead(
      head,
      facts,
      hasBody ? (facts.contentLength === undefined ? 'open' : 'length') : 'none',
    );
    stream.on('data', (chunk: Buffer) => {
      this.#sink?.responseBody(chunk);
      this.#sink?.responseFlush();
    });
    stream.on('end', () => (this.#isWhole ? this.#finish(stream) : this.#fail(undefined)));
    sink.responseFlush();
  }

  #switch(
    sink: ResponseSink,
    stream: ClientHttp2Stream,
    request: DownstreamRequest,
    head: ResponseHead,
  ): void {
    this.#sink = undefined;
    stream
      .removeAllListeners('error')
      .removeAllListeners('drain')
      .on('error', () => {});
    // In the words of HTTP/1.1, which both kinds of downstream understand.
    const switched = request.isConnect
      ? head
      : {
          ...head,
          status: 101,
          reason: 'Switching Protocols',
          headers: [...head.headers, ...acceptFor(request)],
        };
    sink.switched(switched, factsFrom(switched.headers), brokenOffBy(stream, relayCodeOf(request)));
  }

  #finish(stream: ClientHttp2Stream): void {
    const sink = this.#sink;
    this.#sink = undefined;
    // An answer that did not wait for the whole request leaves its stream half open.
    if (!stream.writableFinished) resetStream(stream, constants.NGHTTP2_CANCEL);
    this.#giveBack();
    sink?.responseEnd(this.#trailers);
  }

  #closed(): void {
    if (this.#sink) this.#fail(undefined);
    else this.#giveBack();
  }

  #fail(cause: unknown): void {
    const sink = this.#sink;
    this.abandon();
    sink?.upstreamFailed(
      cause instanceof EngineError ? cause : fail('UPSTREAM_CLOSED', {}, cause),
      this.#hasAnswered,
    );
  }

  #giveBack(): void {
    if (this.#isReturned) return;
    this.#isReturned = true;
    this.#connection.release();
  }
}

const responseHeadFrom = (received: readonly string[]): ResponseHead => {
  // Pseudo-headers come first (RFC 9113 8.3), and a response has one.
  const status = Number(received[1]);
  // HTTP/2 has no reason phrases; HTTP/1.1 downstreams are used to one.
  return { status, reason: STATUS_CODES[status] ?? '', minorVersion: 1, headers: headerListFrom(received) };
};
