/**
 * Where somebody may look on at an exchange: between the exchange and its upstream, as a pair that stands for both.
 *
 * Flow: exchange.ts asks `Taps.isOn` once, when it has got its upstream; only where a tunnel is inspected it puts this pair in between.
 * observe/inspector.ts is the one who looks on.
 * Invariant: what passes is passed on first, in the same turn and untouched; a tap is shown payload, never chunk framing, and must copy what
 * it wants to keep. It has no way to hold anything back. An exchange that nobody looks at costs one property read: it is no part of it.
 */
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeConnection } from './connection.ts';
import { createBodyReader } from './http1/framing.ts';
import type { HeaderList, ResponseHead } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';
import type { ResponseSink, Upstream } from './sides.ts';

/** Looks on at one exchange; no method may throw. Nothing comes after `responseEnd`, `switched`, `failed` or `abandoned`. */
export interface Tap {
  requestBody(payload: Buffer): void;
  /** The request is whole. */
  requestEnd(trailers: HeaderList): void;
  responseHead(head: ResponseHead): void;
  responseBody(payload: Buffer): void;
  responseEnd(trailers: HeaderList): void;
  /** Raw bytes from here on, which are not shown. */
  switched(head: ResponseHead): void;
  /** @param code of the failure */
  failed(code: string): void;
  /** Given up: the downstream left, or something of the engine's has ended it. */
  abandoned(): void;
}

/** What is known of an exchange when it has got its upstream. */
export interface TappedExchange {
  readonly connection: EdgeConnection;
  /** As the upstream may see it: a token that was consumed is not in it. */
  readonly request: DownstreamRequest;
  /** Milliseconds from its start until there was an upstream for it. */
  readonly waitMs: number;
}

/** Who may look on; provided by observe/inspector.ts. */
export interface Taps {
  /** Whether any tunnel is inspected: all that an exchange asks as long as none is. */
  readonly isOn: boolean;
  /** Undefined where nobody looks on at this one. */
  open(tunnel: Tunnel, exchange: TappedExchange): Tap | undefined;
}

export const NO_TAPS: Taps = { isOn: false, open: () => undefined };

/** The upstream with somebody who looks on. */
export const tapped = (upstream: Upstream, tap: Tap): Upstream => {
  let showBody = (chunk: Buffer): void => tap.requestBody(chunk);
  return {
    // Asked for when it has begun, which is what it counts.
    get isReused() {
      return upstream.isReused;
    },
    takesFramed: upstream.takesFramed,
    begin(sink, request, forwarded) {
      if (upstream.takesFramed && request.framing.kind === 'chunked' && request.protocol !== 'h2')
        showBody = unframed(showBody);
      upstream.begin(tappedSink(sink, tap), request, forwarded);
    },
    sendBody(chunk) {
      const isFlowing = upstream.sendBody(chunk);
      showBody(chunk);
      return isFlowing;
    },
    endRequest(trailers) {
      tap.requestEnd(trailers);
      upstream.endRequest(trailers);
    },
    flush: () => upstream.flush(),
    pause: () => upstream.pause(),
    resume: () => upstream.resume(),
    abandon() {
      upstream.abandon();
      tap.abandoned();
    },
  };
};

const tappedSink = (sink: ResponseSink, tap: Tap): ResponseSink => {
  let showBody = (chunk: Buffer): void => tap.responseBody(chunk);
  return {
    takesFramed: sink.takesFramed,
    interim: (head, facts) => sink.interim(head, facts),
    responseHead(head, facts, body) {
      if (body === 'framed') showBody = unframed(showBody);
      tap.responseHead(head);
      sink.responseHead(head, facts, body);
    },
    responseBody(chunk) {
      sink.responseBody(chunk);
      showBody(chunk);
    },
    responseEnd(trailers) {
      tap.responseEnd(trailers);
      sink.responseEnd(trailers);
    },
    switched(head, facts, bytes) {
      tap.switched(head);
      sink.switched(head, facts, bytes);
    },
    upstreamFailed(error, hasAnswered) {
      tap.failed(error.code);
      sink.upstreamFailed(error, hasAnswered);
    },
    upstreamDrained: () => sink.upstreamDrained(),
    responseFlush: () => sink.responseFlush(),
  };
};

/** Takes the chunk framing off. It was checked by the side that read it, with a reader of the same kind. */
const unframed = (show: (payload: Buffer) => void): ((chunk: Buffer) => void) => {
  const reader = createBodyReader({ kind: 'chunked' });
  return (chunk) => {
    reader.take(chunk, 0, (bytes, start, end) => show(bytes.subarray(start, end)));
  };
};
