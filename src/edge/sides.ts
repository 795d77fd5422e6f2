/**
 * The two sides of an exchange, as it sees them: neither tells which HTTP version it speaks.
 *
 * Bodies come in one of two forms. Framed: the bytes of a chunked HTTP/1.1 body with their chunk framing, passed on untouched where both
 * sides speak HTTP/1.1. Payload: everything else; each side then frames it as its version does.
 */
import type { Duplex } from 'node:stream';
import type { EngineError } from '../base/errors.ts';
import type { Pool, Pooled } from '../stream/pool.ts';
import type { EdgeConnection } from './connection.ts';
import type { ForwardedFacts, HeaderFacts } from './headers.ts';
import type { HeaderList, ResponseHead } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';

/** How the body of an answer is told to the downstream. */
export type AnswerBody =
  /** There is none; the headers may still carry the length that a GET would have had. */
  | 'none'
  /** Content-Length is in the headers. */
  | 'length'
  /** Chunked, in framed form. */
  | 'framed'
  /** Payload of unknown length; `end` tells the end. */
  | 'open';

/** The side that asked. */
export interface Downstream {
  readonly connection: EdgeConnection;
  /** Whether it is one of the operator's own proxies. */
  readonly isTrustedProxy: boolean;
  /** Whether bodies may be written in framed form. */
  readonly takesFramed: boolean;
  /** Lets the request body flow, framed if it is chunked HTTP/1.1 and `isFramed`: `requestBody` for each part, then `requestEnd`. */
  startBody(isFramed: boolean): void;
  pauseBody(): void;
  resumeBody(): void;
  writeInterim(head: ResponseHead, facts: HeaderFacts): void;
  /** Queues the head; it leaves with the first bytes of the body, or at `flush`. */
  writeHead(head: ResponseHead, facts: HeaderFacts, body: AnswerBody): void;
  /** @returns false when the answer should wait for `downstreamDrained` */
  writeBody(chunk: Buffer): boolean;
  flush(): void;
  /** The answer is whole. */
  end(trailers: HeaderList): void;
  /** Answers with an error; only before `writeHead`. */
  refuse(error: EngineError): void;
  /** Says that protocols were switched, and gives up the raw bytes for a relay. */
  switchProtocol(head: ResponseHead, facts: HeaderFacts): Duplex;
  /** Cuts the request off: the answer can not be completed. */
  destroy(): void;
}

/** The side that answers, for one exchange. */
export interface Upstream {
  /** Whether an exchange was on its connection before: then the upstream may have closed it just as the next request was sent. */
  readonly isReused: boolean;
  /** Whether request bodies may be sent in framed form. */
  readonly takesFramed: boolean;
  /**
   * Queues the request head; it leaves with the first bytes of the body, or at `flush`.
   * @param forwarded undefined for a request of the engine's own, which is on nobody's behalf
   */
  begin(sink: ResponseSink, request: DownstreamRequest, forwarded: ForwardedFacts | undefined): void;
  /** @returns false when the body should wait for `upstreamDrained` */
  sendBody(chunk: Buffer): boolean;
  /** The request is whole. */
  endRequest(trailers: HeaderList): void;
  flush(): void;
  pause(): void;
  resume(): void;
  /** Gives the exchange up; its sink hears nothing more. */
  abandon(): void;
}

/** What a pool of upstreams keeps. */
export interface UpstreamConnection extends Pooled {
  /** Whether it can carry a switch of protocols; a CONNECT can travel on every one. */
  readonly takesUpgrades: boolean;
  /** One exchange's part of it. */
  open(): Upstream;
}

/** Whom a connection tells what becomes of it: its pool, or nobody where it serves a single question. */
export type Keeper = Pick<Pool<UpstreamConnection>, 'release' | 'lose' | 'retire'>;

/** Who gets the answer. After `responseEnd`, `switched` or `upstreamFailed` nothing more comes. */
export interface ResponseSink {
  /** Whether chunked bodies are wanted in framed form. */
  readonly takesFramed: boolean;
  interim(head: ResponseHead, facts: HeaderFacts): void;
  responseHead(head: ResponseHead, facts: HeaderFacts, body: AnswerBody): void;
  responseBody(chunk: Buffer): void;
  responseEnd(trailers: HeaderList): void;
  /** The protocols were switched, or a CONNECT succeeded: raw bytes from here on. */
  switched(head: ResponseHead, facts: HeaderFacts, bytes: Duplex): void;
  /** @param hasAnswered whether any part of the answer had arrived */
  upstreamFailed(error: EngineError, hasAnswered: boolean): void;
  /** The upstream takes request body again. */
  upstreamDrained(): void;
  /** All that has arrived so far has been handed over. */
  responseFlush(): void;
}

export const NO_TRAILERS: HeaderList = [];
