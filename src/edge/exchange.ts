/**
 * One downstream request and its answer: route, acquire, forward, record.
 *
 * Flow: a downstream connection makes an Exchange and calls `begin`; a stream comes from the tunnel's pool; bytes then run between the
 * two sides through the methods below, each side pausing the other when it is slow. Every way out ends in `#finish`, which records.
 * Invariant: the exchange knows no HTTP version: both sides are narrow interfaces. A failure before the answer began becomes a refusal,
 * one after it ends the connection, so that a cut answer is never taken for a whole one.
 * Limits: the waits of EdgeOptions; all are idle times, none bounds the length of an exchange that moves.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { AgentStream } from '../stream/agent-stream.ts';
import type { Pool, PoolWaiter } from '../stream/pool.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeContext } from './context.ts';
import type { HeaderFacts } from './headers.ts';
import type { Framing } from './http1/framing.ts';
import type { ResponseHead } from './http1/head.ts';
import type { Http1Upstream, ResponseSink } from './http1/upstream.ts';
import type { DownstreamRequest } from './request.ts';

/** The side that asked, as the exchange sees it. */
export interface Downstream {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Whether chunked bodies may be written with their framing. */
  readonly wantsFramed: boolean;
  /** Lets the request body flow: `requestBody` for each part, `requestEnd` at its end. */
  startBody(): void;
  pauseBody(): void;
  resumeBody(): void;
  writeInterim(head: ResponseHead, facts: HeaderFacts): void;
  /** Queues the head; it leaves with the first bytes of the body, or at `flush`. */
  writeHead(head: ResponseHead, facts: HeaderFacts, framing: Framing): void;
  /** @returns false when the answer should wait for `downstreamDrained` */
  writeBody(chunk: Buffer): boolean;
  flush(): void;
  /** The answer is whole. */
  end(): void;
  /** Answers with an error; only before `writeHead`. */
  refuse(error: EngineError): void;
  /** Hands both sides over to another protocol. */
  switchProtocol(head: ResponseHead, facts: HeaderFacts, stream: AgentStream, rest: Buffer): void;
  /** Cuts the connection: the answer can not be completed. */
  destroy(): void;
}

const STATE = { routing: 0, acquiring: 1, awaitingAnswer: 2, answering: 3, done: 4 } as const;

/** RFC 9110 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export class Exchange implements ResponseSink, PoolWaiter<Http1Upstream> {
  readonly request: DownstreamRequest;
  readonly #edge: EdgeContext;
  readonly #downstream: Downstream;
  #state: (typeof STATE)[keyof typeof STATE] = STATE.routing;
  #tunnel: Tunnel | undefined;
  #pool: Pool<Http1Upstream> | undefined;
  #upstream: Http1Upstream | undefined;
  #isRetry = false;
  #hasBodyStarted = false;
  #isBodyDone = false;
  #isBodyPaused = false;
  #progressMs: number;
  #status = 0;
  readonly #startMs: number;

  constructor(edge: EdgeContext, downstream: Downstream, request: DownstreamRequest) {
    this.#edge = edge;
    this.#downstream = downstream;
    this.request = request;
    this.#progressMs = edge.sweep.nowMs;
    this.#startMs = edge.clock.elapsed();
  }

  /** Whether a part of the answer may have left already. */
  get isAnswering(): boolean {
    return this.#state === STATE.answering;
  }

  get wantsFramed(): boolean {
    return this.#downstream.wantsFramed;
  }

  /** Routes the request and takes or asks for a stream. */
  begin(): void {
    if (this.#edge.isDraining()) return this.#refuse(fail('ENGINE_DRAINING'));
    const route = this.#edge.router.route(this.request.authority);
    if (route.kind === 'unknown') return this.#refuse(fail('HOST_UNKNOWN'));
    if (route.kind === 'gone') return this.#refuse(fail('AGENT_GONE'));
    this.#tunnel = route.tunnel;
    this.#pool = this.#edge.poolOf(route.tunnel);
    const upstream = this.#pool.take();
    if (upstream) this.granted(upstream);
    else this.#acquire(this.#pool);
  }

  // The pool's two answers.

  granted(upstream: Http1Upstream): void {
    this.#upstream = upstream;
    this.#state = STATE.awaitingAnswer;
    this.#progressMs = this.#edge.sweep.nowMs;
    try {
      this.#send(upstream);
    } catch (thrown) {
      // A pool calls from a promise: there a fault of ours would end the process, and not only this exchange.
      this.#failAnswer(engineErrorFrom(thrown));
    }
  }

  denied(error: EngineError): void {
    this.#refuse(error);
  }

  #acquire(pool: Pool<Http1Upstream>): void {
    this.#state = STATE.acquiring;
    pool.acquire(this, { address: this.#downstream.remoteAddress, port: this.#downstream.remotePort });
  }

  #send(upstream: Http1Upstream): void {
    upstream.begin(this, this.request, {
      remoteAddress: this.#downstream.remoteAddress,
      publicPort: this.#edge.publicPort(),
      isTrustedProxy: this.#edge.trustedProxies.has(this.#downstream.remoteAddress),
    });
    this.#downstream.startBody();
    this.#upstream?.flush();
  }

  // The downstream's side.

  requestBody(chunk: Buffer): void {
    this.#hasBodyStarted = true;
    this.#progressMs = this.#edge.sweep.nowMs;
    if (!this.#upstream || this.#upstream.sendBody(chunk)) return;
    this.#isBodyPaused = true;
    this.#downstream.pauseBody();
  }

  requestEnd(): void {
    this.#isBodyDone = true;
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#upstream?.endRequest();
  }

  downstreamDrained(): void {
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#upstream?.resume();
  }

  /** The downstream went away, or broke the rules in its body: nothing can be answered any more. */
  downstreamGone(error: EngineError): void {
    if (this.#state === STATE.done) return;
    this.#letGo();
    this.#finish(error);
  }

  /** Looked at once per sweep. */
  checkDeadline(nowMs: number): void {
    const silentMs = nowMs - this.#progressMs;
    const { requestBodyIdleMs, responseMs, streamIdleMs } = this.#edge.options;
    if (this.#state === STATE.answering) {
      if (silentMs > streamIdleMs) this.#failAnswer(fail('STREAM_IDLE', { seconds: streamIdleMs / 1_000 }));
    } else if (this.#state === STATE.awaitingAnswer) {
      const isDownstreamsTurn = !this.#isBodyDone && !this.#isBodyPaused;
      if (isDownstreamsTurn && silentMs > requestBodyIdleMs) this.#failAnswer(fail('REQUEST_TIMEOUT'));
      else if (!isDownstreamsTurn && silentMs > responseMs)
        this.#failAnswer(fail('UPSTREAM_TIMEOUT', { seconds: responseMs / 1_000 }));
    }
  }

  // The upstream's side.

  interim(head: ResponseHead, facts: HeaderFacts): void {
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#downstream.writeInterim(head, facts);
  }

  responseHead(head: ResponseHead, facts: HeaderFacts, framing: Framing): void {
    this.#state = STATE.answering;
    this.#status = head.status;
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#downstream.writeHead(head, facts, framing);
  }

  responseBody(chunk: Buffer): void {
    this.#progressMs = this.#edge.sweep.nowMs;
    if (!this.#downstream.writeBody(chunk)) this.#upstream?.pause();
  }

  responseFlush(): void {
    if (this.#state === STATE.answering) this.#downstream.flush();
  }

  responseEnd(): void {
    this.#upstream = undefined;
    this.#finish();
    this.#downstream.end();
  }

  switched(head: ResponseHead, facts: HeaderFacts, rest: Buffer): void {
    const stream = (this.#upstream as Http1Upstream).stream;
    this.#upstream = undefined;
    this.#status = head.status;
    this.#finish();
    this.#downstream.switchProtocol(head, facts, stream, rest);
  }

  upstreamDrained(): void {
    this.#progressMs = this.#edge.sweep.nowMs;
    if (!this.#isBodyPaused) return;
    this.#isBodyPaused = false;
    this.#downstream.resumeBody();
  }

  upstreamFailed(error: EngineError, hasAnswered: boolean): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream && this.#mayRetry(upstream, hasAnswered)) this.#retry();
    else this.#failAnswer(error);
  }

  // An upstream may close an idle connection in the very moment that the next request is sent; RFC 9110 9.2.2 allows to ask again
  // where that can do no harm. Once only, and on a fresh stream.
  #mayRetry(upstream: Http1Upstream, hasAnswered: boolean): boolean {
    const isUntouched = !hasAnswered && !this.#hasBodyStarted && this.#state === STATE.awaitingAnswer;
    return isUntouched && upstream.isReused && !this.#isRetry && IDEMPOTENT.has(this.request.method);
  }

  #retry(): void {
    this.#isRetry = true;
    // A body that comes meanwhile waits for the new stream.
    if (!this.#isBodyDone) this.#downstream.pauseBody();
    this.#acquire(this.#pool as Pool<Http1Upstream>);
  }

  #failAnswer(error: EngineError): void {
    if (this.#state !== STATE.answering) return this.#refuse(error);
    this.#letGo();
    this.#finish(error);
    this.#downstream.destroy();
  }

  #refuse(error: EngineError): void {
    if (this.#state === STATE.done) return;
    this.#letGo();
    this.#finish(error);
    this.#downstream.refuse(error);
  }

  #letGo(): void {
    this.#upstream?.destroy();
    this.#upstream = undefined;
    if (this.#state === STATE.acquiring) this.#pool?.cancel(this);
  }

  #finish(error?: EngineError): void {
    this.#state = STATE.done;
    this.#edge.record({
      request: this.request,
      remoteAddress: this.#downstream.remoteAddress,
      tunnel: this.#tunnel,
      status: error ? error.row.status : this.#status,
      error,
      durationMs: this.#edge.clock.elapsed() - this.#startMs,
    });
  }
}
