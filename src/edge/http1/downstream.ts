/**
 * One HTTP/1.1 connection of a downstream: reads requests, one exchange at a time, and writes the answers in order.
 *
 * Flow: bytes -> HeadReader -> requestFrom -> Exchange; the exchange calls back through the Downstream interface.
 * Invariant: listeners are set once per connection. A request body that was not read to its end closes the connection after the
 * answer, so its rest can never be taken for a request.
 * Limits: requestHeadBytesMax, requestHeadMsMax, pipelinedBytesMax, writeBufferBytesMax, lingerMsMax, and the idle times of EdgeOptions.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../../base/break-off.ts';
import { type EngineError, engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { failedRecord } from '../../base/record.ts';
import type { Swept } from '../../base/time.ts';
import type { EdgeConnection } from '../connection.ts';
import type { EdgeContext } from '../context.ts';
import { Exchange } from '../exchange.ts';
import { downstreamHeaders, type HeaderFacts, passableTrailers } from '../headers.ts';
import { refusalBytes } from '../refusal.ts';
import { type DownstreamRequest, requestFrom } from '../request.ts';
import { type AnswerBody, type Downstream, NO_TRAILERS } from '../sides.ts';
import { type BodyReader, chunkFrom, createBodyReader, EMPTY_BODY, lastChunkFrom } from './framing.ts';
import { type HeaderList, HeadReader, headerLines, parseRequestHead, type ResponseHead } from './head.ts';
import { writeAround } from './write.ts';

// Closing: our last bytes are on their way. Lingering: they have left, and the peer may need a while to read them.
const STATE = { idle: 0, head: 1, exchange: 2, closing: 3, lingering: 4 } as const;

export class Http1Downstream implements Downstream, Swept {
  readonly connection: EdgeConnection;
  readonly isTrustedProxy: boolean;
  takesFramed = true;
  readonly #edge: EdgeContext;
  readonly #socket: Duplex;
  readonly #headReader = new HeadReader(LIMITS.requestHeadBytesMax);
  #state: (typeof STATE)[keyof typeof STATE] = STATE.idle;
  #stateSinceMs: number;
  #exchange: Exchange | undefined;
  #body: BodyReader = EMPTY_BODY;
  #isBodyFlowing = false;
  #isBodyFramed = true;
  #encodesChunks = false;
  /** Bytes that nobody may read yet: a body before its stream is there, or pipelined requests. */
  #held: Buffer | undefined;
  #isReading = false;
  #closesAfterAnswer = false;
  #pendingHead = '';

  constructor(edge: EdgeContext, socket: Duplex, connection: EdgeConnection) {
    this.#edge = edge;
    this.#socket = socket;
    this.connection = connection;
    this.isTrustedProxy = edge.trustedProxies.has(connection.remoteAddress);
    edge.sweep.add(this);
    this.#stateSinceMs = edge.sweep.nowMs;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onClose);
    socket.on('close', this.#onClose);
  }

  checkDeadline(nowMs: number): void {
    const sinceMs = nowMs - this.#stateSinceMs;
    if (this.#exchange) this.#exchange.checkDeadline(nowMs);
    else if (this.#state === STATE.idle && sinceMs > this.#edge.options.idleMs) this.#close();
    else if (this.#state === STATE.head && sinceMs > LIMITS.requestHeadMsMax)
      this.#refuseRequest(fail('REQUEST_TIMEOUT'));
    else if (this.#state === STATE.closing && this.#socket.writableFinished) this.#enter(STATE.lingering);
    else if (this.#state === STATE.closing && sinceMs > this.#edge.options.streamIdleMs)
      this.#socket.destroy();
    else if (this.#state === STATE.lingering && sinceMs > LIMITS.lingerMsMax) this.#socket.destroy();
  }

  /** Finishes the exchange that runs, then closes; an idle connection closes at once. */
  drain(): void {
    if (this.#state === STATE.idle) this.#close();
    else this.#closesAfterAnswer = true;
  }

  // Downstream: what the exchange asks of this side.

  startBody(isFramed: boolean): void {
    this.#isBodyFramed = isFramed;
    this.#isBodyFlowing = true;
    if (this.#body.isDone) this.#exchange?.requestEnd(NO_TRAILERS);
    else this.#readHeld();
  }

  pauseBody(): void {
    this.#isBodyFlowing = false;
    this.#socket.pause();
  }

  resumeBody(): void {
    this.#isBodyFlowing = true;
    this.#readHeld();
  }

  writeInterim(head: ResponseHead, facts: HeaderFacts): void {
    // HTTP/1.0 has no interim responses.
    if (this.#exchange?.request.protocol === 'http/1.0') return;
    const lines = headerLines(downstreamHeaders(head.headers, facts, false));
    this.#socket.write(`HTTP/1.1 ${head.status} ${head.reason}\r\n${lines}\r\n`, 'latin1');
  }

  writeHead(head: ResponseHead, facts: HeaderFacts, body: AnswerBody): void {
    // A body of unknown length is put into chunks, or ends with the connection where there are none.
    this.#encodesChunks = body === 'open' && this.takesFramed;
    const endsWithConnection = body === 'open' && !this.takesFramed;
    this.#closesAfterAnswer ||= !this.#body.isDone || endsWithConnection || this.#edge.isDraining();
    let lines = headerLines(downstreamHeaders(head.headers, facts, body === 'framed'));
    if (this.#encodesChunks) lines += 'Transfer-Encoding: chunked\r\n';
    if (this.#closesAfterAnswer) lines += 'Connection: close\r\n';
    this.#pendingHead = `HTTP/1.1 ${head.status} ${head.reason}\r\n${lines}\r\n`;
  }

  writeBody(chunk: Buffer): boolean {
    const head = this.#pendingHead;
    this.#pendingHead = '';
    const isFlowing = this.#encodesChunks
      ? writeAround(this.#socket, head + chunkFrom(chunk.length), chunk, '\r\n')
      : writeAround(this.#socket, head, chunk);
    return isFlowing || this.#socket.writableLength < LIMITS.writeBufferBytesMax;
  }

  flush(): void {
    if (this.#pendingHead === '') return;
    this.#socket.write(this.#pendingHead, 'latin1');
    this.#pendingHead = '';
  }

  end(trailers: HeaderList): void {
    if (this.#encodesChunks) this.#pendingHead += lastChunkFrom(passableTrailers(trailers));
    this.#encodesChunks = false;
    this.flush();
    this.#exchange = undefined;
    if (this.#closesAfterAnswer || !this.#body.isDone) return this.#close();
    this.#enter(STATE.idle);
    this.#readHeld();
  }

  refuse(error: EngineError): void {
    const request = this.#exchange?.request;
    this.#exchange = undefined;
    this.#writeRefusal(error, request);
  }

  switchProtocol(head: ResponseHead, facts: HeaderFacts): Duplex {
    const request = this.#exchange?.request;
    let lines = headerLines(downstreamHeaders(head.headers, facts, false));
    if (request?.upgrade !== undefined)
      lines += `Connection: Upgrade\r\nUpgrade: ${facts.upgrade ?? request.upgrade}\r\n`;
    this.#socket.write(`HTTP/1.1 ${head.status} ${head.reason}\r\n${lines}\r\n`, 'latin1');
    this.#exchange = undefined;
    this.#detach();
    if (this.#held) this.#socket.unshift(this.#held);
    return this.#socket;
  }

  destroy(): void {
    this.#exchange = undefined;
    // Without framing an answer ends with its connection, and a part of it would look whole.
    if (this.takesFramed) this.#socket.destroy();
    else breakOff(this.#socket);
  }

  // The connection.

  #onData = (chunk: Buffer): void => {
    if (this.#state >= STATE.closing) return;
    if (this.#held) {
      this.#hold(Buffer.concat([this.#held, chunk]));
    } else {
      this.#read(chunk);
    }
  };

  #readHeld(): void {
    const held = this.#held;
    if (held && !this.#isReading) {
      this.#held = undefined;
      this.#read(held);
    }
    const isWanted = this.#exchange ? this.#isBodyFlowing : this.#state < STATE.closing;
    if (isWanted && !this.#held) this.#socket.resume();
  }

  /** Whether what has come must wait: for the upstream, for the answer before it, or for a downstream that reads none. */
  get #mustHold(): boolean {
    if (this.#exchange) return this.#body.isDone || !this.#isBodyFlowing;
    return this.#socket.writableLength >= LIMITS.writeBufferBytesMax;
  }

  /** Reads until the bytes are used up or must wait. A loop, because a refusal answers within it. */
  #read(chunk: Buffer): void {
    this.#isReading = true;
    let rest: Buffer | undefined = chunk;
    try {
      while (rest && this.#state < STATE.closing) {
        if (this.#mustHold) {
          this.#hold(rest);
          break;
        }
        rest = this.#exchange ? this.#readBody(this.#exchange, rest) : this.#readHead(rest);
      }
    } catch (thrown) {
      this.#refuseRequest(requestErrorFrom(thrown));
    }
    this.#isReading = false;
  }

  /** @returns what follows the head, undefined when nothing does */
  #readHead(chunk: Buffer): Buffer | undefined {
    if (this.#state === STATE.idle) this.#enter(STATE.head);
    const offset = this.#headReader.push(chunk, 0);
    if (offset < 0) return undefined;
    const request = requestFrom(parseRequestHead(this.#headReader.text), this.connection.serverName);
    this.#enter(STATE.exchange);
    this.#body = createBodyReader(request.framing);
    this.#isBodyFlowing = false;
    // After a CONNECT that was refused, what follows may be meant for the other end and is no request.
    this.#closesAfterAnswer ||= request.wantsClose || request.isConnect;
    this.takesFramed = request.protocol === 'http/1.1';
    this.#exchange = new Exchange(this.#edge, this, request);
    this.#exchange.begin();
    return offset < chunk.length ? chunk.subarray(offset) : undefined;
  }

  /** @returns what follows the body, undefined when nothing does */
  #readBody(exchange: Exchange, chunk: Buffer): Buffer | undefined {
    const end = this.#takeBody(exchange, chunk);
    if (this.#body.isDone) exchange.requestEnd(this.#body.trailers ?? NO_TRAILERS);
    return end < chunk.length ? chunk.subarray(end) : undefined;
  }

  #takeBody(exchange: Exchange, chunk: Buffer): number {
    if (!this.#isBodyFramed)
      return this.#body.take(chunk, 0, (bytes, start, end) =>
        exchange.requestBody(bytes.subarray(start, end)),
      );
    const end = this.#body.take(chunk, 0);
    if (end > 0) exchange.requestBody(end === chunk.length ? chunk : chunk.subarray(0, end));
    return end;
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    if (bytes.length >= LIMITS.pipelinedBytesMax) this.#socket.pause();
  }

  #onDrain = (): void => {
    if (this.#exchange) this.#exchange.downstreamDrained();
    else this.#readHeld();
  };

  // A downstream that says goodbye does not wait for an answer: over TLS, clients close both directions at once.
  #onEnd = (): void => {
    this.#exchange?.downstreamGone(fail('REQUEST_ABORTED'));
    this.#exchange = undefined;
    this.#socket.end();
    this.#enter(STATE.closing);
  };

  #onClose = (): void => {
    this.#edge.sweep.remove(this);
    this.#exchange?.downstreamGone(fail('REQUEST_ABORTED'));
    this.#exchange = undefined;
    this.#state = STATE.closing;
    this.#socket.destroy();
  };

  /** A request that cannot be read, or a body that breaks off: nothing behind it can be trusted to be a request. */
  #refuseRequest(error: EngineError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const isAnswering = exchange?.isAnswering;
    if (exchange) exchange.downstreamGone(error);
    else this.#edge.record(failedRecord('exchange', this.connection, error));
    if (isAnswering) this.#socket.destroy();
    else this.#writeRefusal(error, undefined);
  }

  #writeRefusal(error: EngineError, request: DownstreamRequest | undefined): void {
    // A client that does not know 421 would be told it for as long as it keeps the connection.
    const isWrongConnection = error.code === 'MISDIRECTED_REQUEST';
    this.#closesAfterAnswer ||=
      isWrongConnection || request === undefined || !this.#body.isDone || this.#edge.isDraining();
    this.#socket.write(refusalBytes(error, request, this.#closesAfterAnswer));
    if (this.#closesAfterAnswer) return this.#close();
    this.#enter(STATE.idle);
    this.#readHeld();
  }

  /** Ends our side, and reads on for a while: closing at once would make the system cut off what we have just written. */
  #close(): void {
    this.#enter(STATE.closing);
    this.#held = undefined;
    this.#socket.end();
    this.#socket.resume();
  }

  #enter(state: (typeof STATE)[keyof typeof STATE]): void {
    this.#state = state;
    this.#stateSinceMs = this.#edge.sweep.nowMs;
  }

  #detach(): void {
    this.#edge.sweep.remove(this);
    this.#socket.pause();
    this.#socket.removeListener('data', this.#onData);
    this.#socket.removeListener('drain', this.#onDrain);
    this.#socket.removeListener('end', this.#onEnd);
    this.#socket.removeListener('error', this.#onClose);
    this.#socket.removeListener('close', this.#onClose);
  }
}

const requestErrorFrom = (thrown: unknown): EngineError => {
  if (thrown instanceof SyntaxError) return fail('REQUEST_MALFORMED', { problem: thrown.message });
  if (thrown instanceof RangeError)
    return fail('REQUEST_HEAD_TOO_LARGE', { limit: LIMITS.requestHeadBytesMax });
  return engineErrorFrom(thrown);
};
