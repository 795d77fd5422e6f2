/**
 * HTTP/1.1 towards an upstream, over one agent stream: one request at a time, many in turn.
 *
 * Flow: an exchange begins, sends head and body, and is told about the answer through its ResponseSink; when the answer is whole the
 * stream goes back to its pool or ends.
 * Invariant: listeners are set once per stream; bytes that arrive while no exchange is on it end the stream, because they would be
 * read as the answer to the next request.
 * Limits: responseHeadBytesMax, interimResponsesMax.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { type ForwardedFacts, factsFrom, type HeaderFacts, upstreamHeaders } from '../headers.ts';
import type { DownstreamRequest } from '../request.ts';
import {
  type AnswerBody,
  type Keeper,
  NO_TRAILERS,
  type ResponseSink,
  type Upstream,
  type UpstreamConnection,
} from '../sides.ts';
import { type Challenge, createChallenge, isMet } from '../websocket.ts';
import {
  type BodyReader,
  chunkFrom,
  createBodyReader,
  EMPTY_BODY,
  type Framing,
  lastChunkFrom,
  responseFraming,
} from './framing.ts';
import { type HeaderList, HeadReader, headerLines, parseResponseHead, type ResponseHead } from './head.ts';
import { writeAround } from './write.ts';

/** Wraps the socket of a stream, or the TLS inside it; made for the pool of its tunnel. */
export class Http1Upstream implements Upstream, UpstreamConnection {
  readonly capacity = 1;
  readonly takesUpgrades = true;
  readonly takesFramed = true;
  lentCount = 0;
  idleSinceMs = 0;
  readonly #socket: Duplex;
  readonly #pool: Keeper;
  readonly #headReader = new HeadReader(LIMITS.responseHeadBytesMax);
  #sink: ResponseSink | undefined;
  #request: DownstreamRequest | undefined;
  #challenge: Challenge | undefined;
  #body: BodyReader | undefined;
  #pendingHead = '';
  #exchangeCount = 0;
  #interimCount = 0;
  #hasAnswered = false;
  #encodesChunks = false;
  #isRequestSent = false;
  #isReusable = true;
  #endsWithConnection = false;

  constructor(socket: Duplex, pool: Keeper) {
    this.#socket = socket;
    this.#pool = pool;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    // It comes paused, and a listener alone does not undo that.
    socket.resume();
  }

  get isRetired(): boolean {
    return this.#socket.destroyed;
  }

  get isReused(): boolean {
    return this.#exchangeCount > 1;
  }

  open(): Upstream {
    return this;
  }

  begin(sink: ResponseSink, request: DownstreamRequest, forwarded: ForwardedFacts | undefined): void {
    this.#sink = sink;
    this.#request = request;
    this.#body = undefined;
    this.#exchangeCount += 1;
    this.#interimCount = 0;
    this.#hasAnswered = false;
    this.#isRequestSent = false;
    const { method, target, authority, facts, upgrade, framing, isConnect } = request;
    this.#challenge = upgrade === undefined ? undefined : createChallenge(request);
    const headers = this.#challenge?.headers ?? request.headers;
    // A CONNECT names the other end in Host too (RFC 9112 3.2), which HTTP/2 does not.
    const passed = upstreamHeaders(headers, facts, isConnect ? target : authority, forwarded, false);
    // A body that did not come in chunks of HTTP/1.1 and has no length is put into chunks here.
    this.#encodesChunks = framing.kind === 'chunked' && request.protocol === 'h2';
    let text = `${method} ${target} HTTP/1.1\r\n${headerLines(passed)}`;
    if (this.#encodesChunks) text += 'Transfer-Encoding: chunked\r\n';
    if (upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
    this.#pendingHead = `${text}\r\n`;
  }

  sendBody(chunk: Buffer): boolean {
    const head = this.#pendingHead;
    this.#pendingHead = '';
    const isFlowing = this.#encodesChunks
      ? writeAround(this.#socket, head + chunkFrom(chunk.length), chunk, '\r\n')
      : writeAround(this.#socket, head, chunk);
    return isFlowing || this.#socket.writableLength < LIMITS.writeBufferBytesMax;
  }

  endRequest(trailers: HeaderList): void {
    this.#isRequestSent = true;
    if (this.#encodesChunks) this.#pendingHead += lastChunkFrom(trailers);
    this.flush();
  }

  flush(): void {
    if (this.#pendingHead === '') return;
    this.#socket.write(this.#pendingHead, 'latin1');
    this.#pendingHead = '';
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  abandon(): void {
    this.destroy();
  }

  destroy(cause?: unknown): void {
    const isLent = this.#sink !== undefined;
    this.#sink = undefined;
    if (isLent) this.#pool.lose(this);
    else this.#pool.retire(this);
    this.#socket.destroy(cause instanceof Error ? cause : undefined);
  }

  #onData = (chunk: Buffer): void => {
    if (!this.#sink) return this.destroy();
    try {
      this.#read(chunk);
    } catch (thrown) {
      this.#fail(errorFrom(thrown));
    }
    this.#sink?.responseFlush();
  };

  #read(chunk: Buffer): void {
    let offset = 0;
    this.#hasAnswered = true;
    while (offset < chunk.length && this.#sink) {
      if (this.#body) {
        const end = this.#readBody(this.#sink, this.#body, chunk, offset);
        if (this.#body?.isDone) return this.#finish(end === chunk.length);
        offset = end;
      } else {
        offset = this.#headReader.push(chunk, offset);
        if (offset < 0) return;
        this.#readHead(this.#sink, chunk, offset);
      }
    }
  }

  #readBody(sink: ResponseSink, body: BodyReader, chunk: Buffer, offset: number): number {
    if (!sink.takesFramed)
      return body.take(chunk, offset, (bytes, start, end) => sink.responseBody(bytes.subarray(start, end)));
    const end = body.take(chunk, offset);
    sink.responseBody(offset === 0 && end === chunk.length ? chunk : chunk.subarray(offset, end));
    return end;
  }

  #readHead(sink: ResponseSink, chunk: Buffer, offset: number): void {
    const head = parseResponseHead(this.#headReader.text);
    const facts = factsFrom(head.headers);
    const { method, upgrade, isConnect } = this.#request as DownstreamRequest;
    if (head.status === 101) {
      if (upgrade === undefined || (facts.upgrade ?? upgrade).toLowerCase() !== upgrade.toLowerCase())
        throw new SyntaxError('a switch of protocols that nobody asked for');
      if (this.#challenge && !isMet(this.#challenge, head.headers))
        throw new SyntaxError('a Sec-WebSocket-Accept that does not answer the key');
    }
    if (head.status === 101 || (isConnect && head.status >= 200 && head.status < 300))
      return this.#switch(sink, head, facts, chunk.subarray(offset));
    if (head.status < 200) {
      this.#interimCount += 1;
      if (this.#interimCount > LIMITS.interimResponsesMax)
        throw new SyntaxError('too many interim responses');
      return sink.interim(head, facts);
    }
    const framing = responseFraming(facts, head.status, method);
    this.#endsWithConnection = framing.kind === 'close';
    const isPersistent =
      head.minorVersion === 1 ? !facts.connection.includes('close') : facts.connection.includes('keep-alive');
    this.#isReusable = isPersistent && !this.#endsWithConnection;
    this.#body = createBodyReader(framing);
    sink.responseHead(head, facts, answerBodyFrom(framing, sink.takesFramed));
    if (this.#body === EMPTY_BODY) this.#finish(offset === chunk.length);
  }

  #finish(isClean: boolean): void {
    const sink = this.#sink;
    const trailers = this.#body?.trailers ?? NO_TRAILERS;
    this.#sink = undefined;
    this.#body = undefined;
    // An upstream that answers before it has read the whole request leaves the stream in doubt.
    if (
      this.#isReusable &&
      isClean &&
      this.#isRequestSent &&
      !this.#socket.destroyed &&
      this.#socket.readable
    ) {
      this.#socket.resume();
      // First the stream, then the answer: a pipelined request finds it idle.
      this.#pool.release(this);
    } else {
      this.#pool.lose(this);
      this.#socket.destroy();
    }
    sink?.responseEnd(trailers);
  }

  #switch(sink: ResponseSink, head: ResponseHead, facts: HeaderFacts, rest: Buffer): void {
    const socket = this.#socket;
    this.#sink = undefined;
    socket.pause();
    socket.removeListener('data', this.#onData);
    socket.removeListener('drain', this.#onDrain);
    socket.removeListener('end', this.#onEnd);
    socket.removeListener('error', this.#onError);
    socket.removeListener('close', this.#onClose);
    // What was switched still runs through the tunnel, and counts.
    socket.once('close', () => this.#pool.lose(this));
    if (rest.length > 0) socket.unshift(rest);
    sink.switched(head, facts, socket);
  }

  #onDrain = (): void => this.#sink?.upstreamDrained();

  #onEnd = (): void => {
    if (this.#sink && this.#body && this.#endsWithConnection) this.#finish(false);
    else this.#onClose();
  };

  // Without an 'end' before it, it may have cut a body that ends with the connection.
  #onClose = (): void => {
    if (this.#sink) this.#fail(fail('UPSTREAM_CLOSED'));
    else this.destroy();
  };

  #onError = (error: Error): void => {
    if (this.#sink) this.#fail(fail('UPSTREAM_CLOSED', {}, error));
    else this.destroy();
  };

  #fail(error: EngineError): void {
    const sink = this.#sink;
    const hasAnswered = this.#hasAnswered;
    this.destroy();
    sink?.upstreamFailed(error, hasAnswered);
  }
}

const answerBodyFrom = (framing: Framing, takesFramed: boolean): AnswerBody => {
  if (framing.kind === 'chunked') return takesFramed ? 'framed' : 'open';
  return framing.kind === 'close' ? 'open' : framing.kind;
};

const errorFrom = (thrown: unknown): EngineError => {
  if (thrown instanceof RangeError)
    return fail('UPSTREAM_HEAD_TOO_LARGE', { limit: LIMITS.responseHeadBytesMax }, thrown);
  if (thrown instanceof SyntaxError) return fail('UPSTREAM_MALFORMED', {}, thrown);
  return engineErrorFrom(thrown);
};
