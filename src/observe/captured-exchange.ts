/**
 * One exchange as the inspector keeps it, filled while it passes.
 *
 * Flow: inspector.ts makes one when an exchange has got its upstream; the edge tells it what passes; the Admin API reads it.
 * Invariant: it copies what it keeps, so that no buffer or head of a connection lives longer for it. It asks for room before it keeps
 * anything, and goes on counting where there is none. An exchange that runs on holds nothing of a capture that was dropped. It never throws.
 * Limits: bodyBytesMax for each of its two bodies, inspectionEntryBytes, inspectionTextBytes.
 */
import { LIMITS } from '../base/limits.ts';
import type { RecordedConnection } from '../base/record.ts';
import { type CapturedBody, GrowingBody } from './captured-body.ts';
import { ownText, type RedactHeaders, redactedText } from './redaction.ts';

/** How an exchange ended; `open` while it runs. */
export type CaptureEnd = 'open' | 'complete' | 'failed' | 'abandoned' | 'switched' | 'unwatched';

export interface CapturedRequest {
  readonly protocol: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: readonly string[];
  readonly isSwitch: boolean;
}

export interface CapturedResponse {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
}

/** What can be read of one; times in milliseconds from its start. */
export interface CapturedExchange {
  readonly id: string;
  /** The higher, the later. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly address: string;
  /** The exchange that it sends once more. */
  readonly replayOf: string | undefined;
  readonly request: CapturedRequest;
  readonly requestBody: CapturedBody;
  readonly response: CapturedResponse | undefined;
  readonly responseBody: CapturedBody;
  readonly end: CaptureEnd;
  /** Why it failed. */
  readonly code: string | undefined;
  readonly waitMs: number;
  readonly firstByteMs: number | undefined;
  readonly durationMs: number | undefined;
}

/** The request, as the edge shows it. */
export interface SeenRequest {
  readonly protocol: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: readonly string[];
  readonly upgrade: string | undefined;
  readonly isConnect: boolean;
}

export interface SeenExchange {
  readonly connection: RecordedConnection;
  readonly request: SeenRequest;
  readonly waitMs: number;
}

export interface CaptureNeeds {
  /** Now, by a clock that never jumps. */
  elapsed(): number;
  readonly redact: RedactHeaders;
  /** Asks for memory; false: there is none. */
  reserve(capture: Capture, bytes: number): boolean;
}

/** What the edge tells of an exchange; headers and trailers are names and values in turn. */
export interface CaptureTap {
  requestBody(payload: Buffer): void;
  requestEnd(trailers: readonly string[]): void;
  responseHead(head: Head): void;
  responseBody(payload: Buffer): void;
  responseEnd(trailers: readonly string[]): void;
  switched(head: Head): void;
  failed(code: string): void;
  abandoned(): void;
}

interface Head {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
}

export class Capture implements CapturedExchange {
  readonly id: string;
  readonly number: number;
  readonly startedAt: number;
  readonly address: string;
  readonly replayOf: string | undefined;
  readonly request: CapturedRequest;
  readonly requestBody: GrowingBody;
  readonly responseBody: GrowingBody;
  readonly waitMs: number;
  response: CapturedResponse | undefined;
  end: CaptureEnd = 'open';
  code: string | undefined;
  firstByteMs: number | undefined;
  durationMs: number | undefined;
  /** Memory that was given to it. */
  heldBytes = 0;
  readonly #needs: CaptureNeeds;
  /** Called when it is over; see {@link tapOf}. */
  letGo: () => void = () => {};
  readonly #startMs: number;

  constructor(
    needs: CaptureNeeds,
    { id, number, startedAt }: Pick<CapturedExchange, 'id' | 'number' | 'startedAt'>,
    { connection, request, waitMs }: SeenExchange,
    bodyBytesMax: number,
  ) {
    this.#needs = needs;
    this.id = id;
    this.number = number;
    this.startedAt = startedAt;
    this.waitMs = waitMs;
    this.#startMs = needs.elapsed() - waitMs;
    this.address = connection.remoteAddress;
    this.replayOf = connection.replay?.of;
    const { protocol, method, target, authority, headers, upgrade, isConnect } = request;
    this.request = {
      protocol,
      method: ownText(method),
      target: redactedText(target),
      authority: ownText(authority),
      headers: needs.redact(headers),
      isSwitch: isConnect || upgrade !== undefined,
    };
    const reserve = (bytes: number) => needs.reserve(this, bytes);
    this.requestBody = new GrowingBody(bodyBytesMax, reserve);
    this.responseBody = new GrowingBody(bodyBytesMax, reserve);
  }

  /** What it costs as it was made. */
  get headBytes(): number {
    const { target, authority, headers } = this.request;
    return LIMITS.inspectionEntryBytes + textBytes([target, authority, ...headers]);
  }

  requestEnd(trailers: readonly string[]): void {
    this.requestBody.finish(this.#kept(trailers));
  }

  responseHead({ status, reason, headers }: Head): void {
    this.firstByteMs = this.#nowMs;
    this.response = { status, reason: ownText(reason), headers: this.#kept(headers) };
  }

  responseEnd(trailers: readonly string[]): void {
    this.responseBody.finish(this.#kept(trailers));
    this.finish('complete');
  }

  /** @param code why it failed */
  finish(end: CaptureEnd, code?: string): void {
    if (this.end !== 'open') return;
    this.end = end;
    this.code = code;
    this.durationMs = this.#nowMs;
    this.letGo();
  }

  get #nowMs(): number {
    return this.#needs.elapsed() - this.#startMs;
  }

  /** Headers without secrets; none where there is no room for them. */
  #kept(headers: readonly string[]): readonly string[] {
    if (headers.length === 0) return headers;
    const kept = this.#needs.redact(headers);
    return this.#needs.reserve(this, textBytes(kept)) ? kept : [];
  }
}

const textBytes = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + text.length + LIMITS.inspectionTextBytes, 0);

/**
 * By which the edge tells what passes. It forgets the capture when that is over: the exchange may run on for days, when what was captured of it
 * has long made room.
 */
export const tapOf = (capture: Capture): CaptureTap => {
  let own: Capture | undefined = capture;
  capture.letGo = () => {
    own = undefined;
  };
  return {
    requestBody: (payload) => own?.requestBody.add(payload),
    requestEnd: (trailers) => own?.requestEnd(trailers),
    responseHead: (head) => own?.responseHead(head),
    responseBody: (payload) => own?.responseBody.add(payload),
    responseEnd: (trailers) => own?.responseEnd(trailers),
    switched: (head) => {
      own?.responseHead(head);
      own?.finish('switched');
    },
    failed: (code) => own?.finish('failed', code),
    abandoned: () => own?.finish('abandoned'),
  };
};
