/**
 * One downstream request and its answer: route, judge, acquire, forward, record.
 *
 * Flow: a downstream connection makes an Exchange and calls `begin`; a stream comes from the tunnel's pool; bytes then run between the
 * two sides through the methods below, each side pausing the other when it is slow. Every way out ends in `#finish`, which records.
 * Invariant: the exchange knows no HTTP version: both sides are narrow interfaces. A failure before the answer began becomes a refusal,
 * one after it ends the connection, so that a cut answer is never taken for a whole one.
 * Limits: the waits of EdgeOptions; all are idle times, none bounds the length of an exchange that moves.
 */
import type { Duplex } from 'node:stream';
import { EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';
import type { TrafficRecord } from '../base/record.ts';
import { inBackground } from '../base/time.ts';
import type { Pool, PoolWaiter } from '../stream/pool.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Admission } from './admission.ts';
import type { EdgeConnection } from './connection.ts';
import type { EdgeContext } from './context.ts';
import { type HeaderFacts, withoutLength } from './headers.ts';
import type { HeaderList, ResponseHead } from './http1/head.ts';
import { withoutTokens } from './offered-proof.ts';
import type { Running } from './policies.ts';
import type { DownstreamRequest } from './request.ts';
import type { AnswerBody, Downstream, ResponseSink, Upstream, UpstreamConnection } from './sides.ts';
import { tapped } from './tap.ts';

// Admitting: a proof is being verified, which takes no longer than its cryptography.
const STATE = { routing: 0, admitting: 1, acquiring: 2, awaitingAnswer: 3, answering: 4, done: 5 } as const;

/** RFC 9110 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export class Exchange implements ResponseSink, PoolWaiter<UpstreamConnection>, Running {
  /** As the upstream may see it, once it is admitted. */
  request: DownstreamRequest;
  readonly #edge: EdgeContext;
  readonly #downstream: Downstream;
  #state: (typeof STATE)[keyof typeof STATE] = STATE.routing;
  #tunnel: Tunnel | undefined;
  #principal: Principal | undefined;
  #pool: Pool<UpstreamConnection> | undefined;
  #upstream: Upstream | undefined;
  #wasIdle = false;
  #isRetry = false;
  #hasBodyStarted = false;
  #isBodyDone = false;
  #bodyBytes = 0;
  #isBodyPaused = false;
  #progressMs: number;
  #status = 0;
  #answerBytes = 0;
  readonly #startMs: number;
  #streamAtMs = -1;
  #answerAtMs = -1;

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

  get takesFramed(): boolean {
    return this.#downstream.takesFramed;
  }

  /** Routes the request, has it judged, and takes or asks for a stream. */
  begin(): void {
    if (this.#edge.isDraining()) return this.#refuse(fail('ENGINE_DRAINING'));
    const tunnel = this.#route();
    if (tunnel instanceof EngineError) return this.#refuse(tunnel);
    this.#tunnel = tunnel;
    const { connection } = this.#downstream;
    // A private dialer was let in when it came, and is cut as a whole (dialer-admission.ts).
    if (connection.tunnel) return this.#reach(tunnel);
    const admission = this.#edge.admit(tunnel, connection, this.request);
    if (!(admission instanceof Promise)) return this.#judged(tunnel, admission);
    this.#state = STATE.admitting;
    inBackground(
      admission.then((verdict) => this.#judged(tunnel, verdict)),
      (error) => this.#failAnswer(engineErrorFrom(error)),
    );
  }

  #judged(tunnel: Tunnel, admission: Admission): void {
    // The downstream may have left meanwhile.
    if (this.#state === STATE.done) return;
    if (admission instanceof Error) return this.#refuse(admission);
    this.#principal = admission.principal;
    this.#edge.policies.follow(this);
    if (tunnel.properties.tokenAuth) this.request = withoutTokens(this.request);
    this.#reach(tunnel);
  }

  #reach(tunnel: Tunnel): void {
    const { framing } = this.request;
    const { requestBodyBytesMax } = this.#edge.options;
    if (
      framing.kind === 'length' &&
      requestBodyBytesMax !== undefined &&
      framing.length > requestBodyBytesMax
    )
      return this.#refuse(fail('REQUEST_BODY_TOO_LARGE', { limit: requestBodyBytesMax }));
    this.#takeFrom(this.#edge.poolOf(tunnel, needsHttp1(this.request) ? 'http/1.1' : 'any'));
  }

  #route(): Tunnel | EngineError {
    // A private dialer has said which tunnel it means, and may call it what it likes.
    const { tunnel } = this.#downstream.connection;
    if (tunnel) return tunnel;
    const route = this.#edge.router.route(this.request.authority);
    if (route.kind === 'unknown') return fail('HOST_UNKNOWN');
    if (route.kind === 'gone') return fail('AGENT_GONE');
    // A reused connection may ask for the engine, or for the name of a tunnel whose bytes are not HTTP: a new one would reach it.
    if (route.kind === 'engine') return fail('MISDIRECTED_REQUEST');
    return route.tunnel.properties.protocol === 'http' ? route.tunnel : fail('MISDIRECTED_REQUEST');
  }

  // What policies.ts judges for as long as it runs.

  get tunnel(): Tunnel {
    return this.#tunnel as Tunnel;
  }

  get connection(): EdgeConnection {
    return this.#downstream.connection;
  }

  get principal(): Principal | undefined {
    return this.#principal;
  }

  cut(error: EngineError): void {
    this.#failAnswer(error);
  }

  // The pool's two answers.

  granted(connection: UpstreamConnection): void {
    if (this.request.upgrade !== undefined && !connection.takesUpgrades)
      return this.#acquireHttp1(connection);
    let upstream = connection.open();
    this.#upstream = upstream;
    this.#state = STATE.awaitingAnswer;
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#streamAtMs = this.#edge.clock.elapsed();
    try {
      // The one thing that an exchange asks of the inspector as long as nobody inspects.
      if (this.#edge.taps.isOn) {
        upstream = this.#tapped(upstream);
        this.#upstream = upstream;
      }
      this.#send(upstream);
    } catch (thrown) {
      // A pool calls from a promise: there a fault of ours would end the process, and not only this exchange.
      this.#failAnswer(engineErrorFrom(thrown));
    }
  }

  denied(error: EngineError): void {
    this.#refuse(error);
  }

  #takeFrom(pool: Pool<UpstreamConnection>): void {
    this.#pool = pool;
    const connection = pool.take();
    this.#wasIdle = connection !== undefined;
    if (connection) this.granted(connection);
    else this.#acquire(pool);
  }

  #acquire(pool: Pool<UpstreamConnection>): void {
    this.#state = STATE.acquiring;
    const { remoteAddress: address, remotePort: port } = this.#downstream.connection;
    pool.acquire(this, { address, port });
  }

  #tapped(upstream: Upstream): Upstream {
    const tap = this.#edge.taps.open(this.#tunnel as Tunnel, {
      connection: this.#downstream.connection,
      request: this.request,
      waitMs: this.#streamAtMs - this.#startMs,
    });
    return tap ? tapped(upstream, tap) : upstream;
  }

  #send(upstream: Upstream): void {
    upstream.begin(this, this.request, {
      remoteAddress: this.#downstream.connection.remoteAddress,
      publicPort: this.#edge.publicPort(),
      isTrustedProxy: this.#downstream.isTrustedProxy,
      isReplay: this.#downstream.connection.replay !== undefined,
    });
    this.#downstream.startBody(upstream.takesFramed);
    this.#upstream?.flush();
  }

  /** The upstream's HTTP/2 has no extended CONNECT; most that speak it in clear text also speak HTTP/1.1. */
  #acquireHttp1(connection: UpstreamConnection): void {
    this.#pool?.release(connection);
    this.#takeFrom(this.#edge.poolOf(this.#tunnel as Tunnel, 'http/1.1'));
  }

  // The downstream's side.

  requestBody(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    const limit = this.#edge.options.requestBodyBytesMax;
    if (limit !== undefined && this.#bodyBytes > limit)
      return this.#failAnswer(fail('REQUEST_BODY_TOO_LARGE', { limit }));
    this.#hasBodyStarted = true;
    this.#progressMs = this.#edge.sweep.nowMs;
    if (!this.#upstream || this.#upstream.sendBody(chunk)) return;
    this.#isBodyPaused = true;
    this.#downstream.pauseBody();
  }

  requestEnd(trailers: HeaderList): void {
    this.#isBodyDone = true;
    this.#progressMs = this.#edge.sweep.nowMs;
    this.#upstream?.endRequest(trailers);
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

  /** Something came from it through the agent. The sweep's time lies up to a second back, so it may not set the pulse back. */
  #heard(nowMs: number): void {
    this.#progressMs = this.#edge.sweep.nowMs;
    const { pulse } = this.#tunnel as Tunnel;
    if (pulse.atMs < nowMs) pulse.atMs = nowMs;
  }

  interim(head: ResponseHead, facts: HeaderFacts): void {
    this.#heard(this.#edge.sweep.nowMs);
    this.#downstream.writeInterim(head, facts);
  }

  responseHead(head: ResponseHead, facts: HeaderFacts, body: AnswerBody): void {
    this.#state = STATE.answering;
    this.#status = head.status;
    this.#answerAtMs = this.#edge.clock.elapsed();
    this.#heard(this.#answerAtMs);
    this.#downstream.writeHead(head, facts, body);
  }

  responseBody(chunk: Buffer): void {
    this.#answerBytes += chunk.length;
    this.#heard(this.#edge.sweep.nowMs);
    if (!this.#downstream.writeBody(chunk)) this.#upstream?.pause();
  }

  responseFlush(): void {
    if (this.#state === STATE.answering) this.#downstream.flush();
  }

  responseEnd(trailers: HeaderList): void {
    this.#upstream = undefined;
    this.#finish();
    this.#downstream.end(trailers);
  }

  switched(head: ResponseHead, facts: HeaderFacts, bytes: Duplex): void {
    this.#upstream = undefined;
    this.#status = head.status;
    this.#answerAtMs = this.#edge.clock.elapsed();
    this.#heard(this.#answerAtMs);
    this.#end();
    // RFC 9110 6.4.1: neither a 101 nor the 2xx of a CONNECT has a length, whatever its headers say.
    const headers = withoutLength(head.headers);
    const { connection } = this.#downstream;
    const raw = this.#downstream.switchProtocol({ ...head, headers }, facts);
    this.#edge.relay(this.#tunnel as Tunnel, connection, raw, bytes, this.#recordFrom(), this.#principal);
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

  // An upstream may close an idle connection, used or kept ready, in the very moment that the next request is sent; RFC 9110 9.2.2
  // allows to ask again where that can do no harm. Once only, and on a fresh stream.
  #mayRetry(upstream: Upstream, hasAnswered: boolean): boolean {
    const isUntouched = !hasAnswered && !this.#hasBodyStarted && this.#state === STATE.awaitingAnswer;
    const mayBeStale = (this.#wasIdle || upstream.isReused) && !this.#isRetry;
    return isUntouched && mayBeStale && IDEMPOTENT.has(this.request.method);
  }

  #retry(): void {
    this.#isRetry = true;
    // A body that comes meanwhile waits for the new stream.
    if (!this.#isBodyDone) this.#downstream.pauseBody();
    this.#acquire(this.#pool as Pool<UpstreamConnection>);
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
    this.#upstream?.abandon();
    this.#upstream = undefined;
    if (this.#state === STATE.acquiring) this.#pool?.cancel(this);
  }

  #end(): void {
    this.#state = STATE.done;
    this.#edge.policies.unfollow(this);
  }

  #finish(error?: EngineError): void {
    this.#end();
    this.#edge.record(this.#recordFrom(error));
  }

  #recordFrom(error?: EngineError): TrafficRecord {
    const startMs = this.#startMs;
    return {
      kind: 'exchange',
      connection: this.#downstream.connection,
      tunnel: this.#tunnel,
      request: this.request,
      dialerCredentialId: this.#principal?.credentialId,
      dialerKind: this.#principal?.kind,
      status: error ? error.row.status : this.#status,
      error,
      durationMs: this.#edge.clock.elapsed() - startMs,
      waitMs: this.#streamAtMs < 0 ? undefined : this.#streamAtMs - startMs,
      firstByteMs: this.#answerAtMs < 0 ? undefined : this.#answerAtMs - startMs,
      bytesUp: this.#bodyBytes,
      bytesDown: this.#answerBytes,
      endedBy: 'upstream',
      isBroken: false,
    };
  }
}

/** HTTP/2 carries WebSockets, and what came over HTTP/2 itself; an upgrade to anything else has no form there. */
const needsHttp1 = ({ upgrade, protocol }: DownstreamRequest): boolean =>
  upgrade !== undefined && upgrade !== 'websocket' && protocol !== 'h2';
