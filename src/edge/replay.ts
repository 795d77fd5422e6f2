/**
 * A captured request, sent to its tunnel once more: an exchange like any other, with nobody at its other end.
 *
 * Flow: the lobby hands in what observe/ has captured; the exchange takes the tunnel's pool, limits and deadlines; its answer is dropped
 * here, and captured and recorded like every other.
 * Invariant: it goes to the one tunnel that is named and nowhere else, and says by a header that it is a replay. It is asked for by an
 * admin, so the tunnel's policy is not asked. None outlives the edge.
 * Limits: replaysMax, replayMsMax, replayAnswerMsMax.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Swept } from '../base/time.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeConnection, Replay } from './connection.ts';
import type { EdgeContext } from './context.ts';
import { Exchange } from './exchange.ts';
import { factsFrom } from './headers.ts';
import type { Framing } from './http1/framing.ts';
import type { HeaderList, ResponseHead } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';
import type { Downstream } from './sides.ts';

/** A request as it was captured, with what was given anew. */
export interface ReplayOrder {
  readonly replay: Replay;
  /** Of who asks for it. */
  readonly remoteAddress: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: HeaderList;
  /** Whole. */
  readonly body: Buffer;
  readonly trailers: HeaderList;
}

/** What can be said of a replay when its head, its failure or nothing has come. */
export type ReplayOutcome =
  | { readonly kind: 'answered'; readonly status: number }
  | { readonly kind: 'refused'; readonly error: EngineError }
  | { readonly kind: 'waiting' };

export const createReplays = (edge: EdgeContext) => {
  const running = new Set<ReplayDownstream>();
  return {
    /**
     * Resolves with the first that is known; the rest goes on by itself.
     * @throws REPLAY_IMPOSSIBLE when too many run
     */
    replay(tunnel: Tunnel, order: ReplayOrder): Promise<ReplayOutcome> {
      if (running.size >= LIMITS.replaysMax)
        throw fail('REPLAY_IMPOSSIBLE', { problem: `${LIMITS.replaysMax} replays are running` });
      return new Promise((resolve) => {
        const timer = edge.clock.after(LIMITS.replayAnswerMsMax, () => resolve({ kind: 'waiting' }));
        const downstream = new ReplayDownstream(edge, tunnel, order, (outcome) => {
          timer.cancel();
          resolve(outcome);
        });
        running.add(downstream);
        downstream.begin(() => running.delete(downstream));
      });
    },

    /** Ends all of them. */
    destroy(): void {
      for (const downstream of [...running]) downstream.giveUp(fail('ENGINE_DRAINING'));
    },
  };
};

class ReplayDownstream implements Downstream, Swept {
  readonly connection: EdgeConnection;
  readonly isTrustedProxy = false;
  readonly takesFramed = false;
  readonly #edge: EdgeContext;
  readonly #exchange: Exchange;
  readonly #order: ReplayOrder;
  readonly #tell: (outcome: ReplayOutcome) => void;
  readonly #endsAtMs: number;
  #onOver: () => void = () => {};

  constructor(edge: EdgeContext, tunnel: Tunnel, order: ReplayOrder, tell: (outcome: ReplayOutcome) => void) {
    this.connection = { remoteAddress: order.remoteAddress, remotePort: 0, tunnel, replay: order.replay };
    this.#edge = edge;
    this.#order = order;
    this.#tell = tell;
    this.#endsAtMs = edge.clock.elapsed() + LIMITS.replayMsMax;
    this.#exchange = new Exchange(edge, this, requestFromOrder(order));
  }

  begin(onOver: () => void): void {
    this.#onOver = onOver;
    this.#edge.sweep.add(this);
    this.#exchange.begin();
  }

  /** Nobody is there who could leave: this is how it is ended from outside. */
  giveUp(error: EngineError): void {
    this.#exchange.downstreamGone(error);
    this.#over(error);
  }

  checkDeadline(nowMs: number): void {
    if (nowMs > this.#endsAtMs)
      this.giveUp(fail('UPSTREAM_TIMEOUT', { seconds: LIMITS.replayMsMax / 1_000 }));
    else this.#exchange.checkDeadline(nowMs);
  }

  startBody(): void {
    if (this.#order.body.length > 0) this.#exchange.requestBody(this.#order.body);
    this.#exchange.requestEnd(this.#order.trailers);
  }

  // The body is here as a whole already, and no larger than what may be captured of one.
  pauseBody(): void {}
  resumeBody(): void {}
  writeInterim(): void {}
  flush(): void {}

  writeHead(head: ResponseHead): void {
    this.#tell({ kind: 'answered', status: head.status });
  }

  writeBody(): boolean {
    return true;
  }

  end(): void {
    this.#over();
  }

  refuse(error: EngineError): void {
    this.#over(error);
  }

  switchProtocol(): Duplex {
    // No replay asks for it, and the upstream's side refuses what nobody asked for.
    throw fail('UPSTREAM_MALFORMED');
  }

  destroy(): void {
    this.#over(fail('UPSTREAM_CLOSED'));
  }

  /** @param error for whoever has not been told of a head */
  #over(error?: EngineError): void {
    this.#edge.sweep.remove(this);
    if (error) this.#tell({ kind: 'refused', error });
    this.#onOver();
  }
}

/** Headers that frame a body or ask for something in between; they are made anew, or have no meaning without a downstream. */
const OF_FIRST_SENDING = new Set(['content-length', 'transfer-encoding', 'expect', 'upgrade']);

const requestFromOrder = (order: ReplayOrder): DownstreamRequest => {
  const { method, target, authority, body, trailers } = order;
  // With trailers it goes in chunks: in the form of HTTP/2, of which each upstream makes its own.
  const isChunked = trailers.length > 0;
  const headers: HeaderList = [];
  let hadLength = false;
  for (let i = 0; i < order.headers.length; i += 2) {
    const name = (order.headers[i] as string).toLowerCase();
    hadLength ||= name === 'content-length';
    if (!OF_FIRST_SENDING.has(name)) headers.push(order.headers[i] as string, order.headers[i + 1] as string);
  }
  const hasLength = !isChunked && (hadLength || body.length > 0);
  if (hasLength) headers.push('Content-Length', String(body.length));
  const withBody: Framing = isChunked ? { kind: 'chunked' } : { kind: 'length', length: body.length };
  return {
    protocol: isChunked ? 'h2' : 'http/1.1',
    method,
    target,
    authority,
    headers,
    facts: factsFrom(headers),
    framing: isChunked || body.length > 0 ? withBody : { kind: 'none' },
    upgrade: undefined,
    isConnect: false,
    wantsClose: false,
  };
};
