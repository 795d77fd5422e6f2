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
import type { AgentStream } from '../../stream/agent-stream.ts';
import type { Pool, Pooled } from '../../stream/pool.ts';
import { type ForwardedFacts, factsFrom, type HeaderFacts, upstreamHeaderText } from '../headers.ts';
import type { DownstreamRequest } from '../request.ts';
import { type BodyReader, createBodyReader, EMPTY_BODY, type Framing, responseFraming } from './framing.ts';
import { HeadReader, parseResponseHead, type ResponseHead } from './head.ts';
import { writeHeadAndBody } from './write.ts';

/** Who gets the answer. After `responseEnd`, `switched` or `upstreamFailed` nothing more comes. */
export interface ResponseSink {
  /** Whether chunked bodies are wanted with their framing, to be passed on untouched. */
  readonly wantsFramed: boolean;
  interim(head: ResponseHead, facts: HeaderFacts): void;
  responseHead(head: ResponseHead, facts: HeaderFacts, framing: Framing): void;
  responseBody(chunk: Buffer): void;
  responseEnd(): void;
  /** 101: the stream carries another protocol from here on; `rest` is what followed the head. */
  switched(head: ResponseHead, facts: HeaderFacts, rest: Buffer): void;
  /** @param hasAnswered whether any byte of the answer had arrived */
  upstreamFailed(error: EngineError, hasAnswered: boolean): void;
  /** The upstream takes request body again. */
  upstreamDrained(): void;
  /** All that has arrived so far has been handed over. */
  responseFlush(): void;
}

/** Wraps a stream for HTTP/1.1; made by the pool of its tunnel. */
export class Http1Upstream implements Pooled {
  idleSinceMs = 0;
  readonly stream: AgentStream;
  readonly #socket: Duplex;
  readonly #pool: Pool<Http1Upstream>;
  readonly #headReader = new HeadReader(LIMITS.responseHeadBytesMax);
  #sink: ResponseSink | undefined;
  #body: BodyReader | undefined;
  #method = '';
  #pendingHead = '';
  #exchangeCount = 0;
  #interimCount = 0;
  #hasAnswered = false;
  #isRequestSent = false;
  #isReusable = true;
  #endsWithConnection = false;
  #acceptsUpgrade = false;

  constructor(stream: AgentStream, pool: Pool<Http1Upstream>) {
    this.stream = stream;
    this.#socket = stream.socket;
    this.#pool = pool;
    this.#socket.on('data', this.#onData);
    this.#socket.on('drain', this.#onDrain);
    this.#socket.on('end', this.#onEnd);
    this.#socket.on('error', this.#onError);
    this.#socket.on('close', this.#onClose);
    // It comes paused, and a listener alone does not undo that.
    this.#socket.resume();
  }

  /** Whether an exchange was on it before: then the upstream may have closed it just as the next request was sent. */
  get isReused(): boolean {
    return this.#exchangeCount > 1;
  }

  /** Queues the request head; it leaves with the first bytes of the body, or at `flush`. */
  begin(sink: ResponseSink, request: DownstreamRequest, forwarded: ForwardedFacts): void {
    this.#sink = sink;
    this.#method = request.method;
    this.#body = undefined;
    this.#exchangeCount += 1;
    this.#interimCount = 0;
    this.#hasAnswered = false;
    this.#isRequestSent = false;
    this.#acceptsUpgrade = request.upgrade !== undefined;
    // An HTTP/1.0 request may come without Host, which HTTP/1.1 must have.
    const host = request.facts.hostCount === 0 ? `Host: ${request.authority}\r\n` : '';
    this.#pendingHead =
      `${request.method} ${request.target} HTTP/1.1\r\n${host}` +
      `${upstreamHeaderText(request.headers, request.facts, request.authority, forwarded, request.upgrade)}\r\n`;
  }

  /** @returns false when the body should wait for `upstreamDrained` */
  sendBody(chunk: Buffer): boolean {
    const head = this.#pendingHead;
    this.#pendingHead = '';
    return (
      writeHeadAndBody(this.#socket, head, chunk) || this.#socket.writableLength < LIMITS.writeBufferBytesMax
    );
  }

  /** The request is whole. */
  endRequest(): void {
    this.#isRequestSent = true;
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

  /** Ends the stream now; its exchange, if any, hears nothing more. */
  destroy(cause?: unknown): void {
    this.#sink = undefined;
    this.#pool.forget(this);
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
        if (this.#body.isDone) return this.#finish(end === chunk.length);
        offset = end;
      } else {
        offset = this.#headReader.push(chunk, offset);
        if (offset < 0) return;
        this.#readHead(this.#sink, chunk, offset);
      }
    }
  }

  #readBody(sink: ResponseSink, body: BodyReader, chunk: Buffer, offset: number): number {
    if (!sink.wantsFramed)
      return body.take(chunk, offset, (bytes, start, end) => sink.responseBody(bytes.subarray(start, end)));
    const end = body.take(chunk, offset);
    sink.responseBody(offset === 0 && end === chunk.length ? chunk : chunk.subarray(offset, end));
    return end;
  }

  #readHead(sink: ResponseSink, chunk: Buffer, offset: number): void {
    const head = parseResponseHead(this.#headReader.text);
    const facts = factsFrom(head.headers);
    if (head.status === 101) {
      if (!this.#acceptsUpgrade) throw new SyntaxError('a switch of protocols that nobody asked for');
      return this.#switch(sink, head, facts, chunk.subarray(offset));
    }
    if (head.status < 200) {
      this.#interimCount += 1;
      if (this.#interimCount > LIMITS.interimResponsesMax)
        throw new SyntaxError('too many interim responses');
      return sink.interim(head, facts);
    }
    const framing = responseFraming(facts, head.status, this.#method);
    this.#endsWithConnection = framing.kind === 'close';
    const isPersistent =
      head.minorVersion === 1 ? !facts.connection.includes('close') : facts.connection.includes('keep-alive');
    this.#isReusable = isPersistent && !this.#endsWithConnection;
    this.#body = createBodyReader(framing);
    sink.responseHead(head, facts, framing);
    if (this.#body === EMPTY_BODY) this.#finish(offset === chunk.length);
  }

  #finish(isClean: boolean): void {
    const sink = this.#sink;
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
      sink?.responseEnd();
    } else {
      sink?.responseEnd();
      this.destroy();
    }
  }

  #switch(sink: ResponseSink, head: ResponseHead, facts: HeaderFacts, rest: Buffer): void {
    this.#sink = undefined;
    this.#pool.forget(this);
    this.#socket.pause();
    this.#socket.removeListener('data', this.#onData);
    this.#socket.removeListener('drain', this.#onDrain);
    this.#socket.removeListener('end', this.#onEnd);
    this.#socket.removeListener('error', this.#onError);
    this.#socket.removeListener('close', this.#onClose);
    sink.switched(head, facts, rest);
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

const errorFrom = (thrown: unknown): EngineError => {
  if (thrown instanceof RangeError)
    return fail('UPSTREAM_HEAD_TOO_LARGE', { limit: LIMITS.responseHeadBytesMax }, thrown);
  if (thrown instanceof SyntaxError) return fail('UPSTREAM_MALFORMED', {}, thrown);
  return engineErrorFrom(thrown);
};
