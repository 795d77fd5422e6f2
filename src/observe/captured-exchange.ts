/**
 * One exchange as the inspector keeps it, filled while it passes.
 *
 * Flow: inspector.ts makes one when an exchange has got its upstream; the edge tells it what passes; the Admin API reads it.
 * Invariant: it copies what it keeps, so that no buffer of a connection lives longer for it. It asks for room before it keeps anything; when
 * there is none, or it was dropped meanwhile, it goes on counting and keeps no more. It never throws.
 * Limits: bodyBytesMax for each of its two bodies, inspectionEntryBytes, inspectionTextBytes.
 */
import { LIMITS } from '../base/limits.ts';
import type { RecordedConnection } from '../base/record.ts';
import { type RedactHeaders, redactedText } from './redaction.ts';

/** How an exchange ended; `open` while it runs. */
export type CaptureEnd = 'open' | 'complete' | 'failed' | 'abandoned' | 'switched' | 'unwatched';

/** A body, or the first part of it. */
export interface CapturedBody {
  readonly content: Buffer;
  /** All that passed. */
  readonly bytes: number;
  /** Whether its end was seen. */
  readonly isWhole: boolean;
  readonly trailers: readonly string[];
}

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
      method,
      target: redactedText(target),
      authority: redactedText(authority),
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

  get isOpen(): boolean {
    return this.end === 'open';
  }

  /** By which the edge tells what passes. */
  get tap() {
    return {
      requestBody: (payload: Buffer) => {
        if (this.isOpen) this.requestBody.add(payload);
      },
      requestEnd: (trailers: readonly string[]) => {
        if (this.isOpen) this.requestBody.finish(this.#kept(trailers));
      },
      responseHead: (head: Head) => this.#responseHead(head),
      responseBody: (payload: Buffer) => {
        if (this.isOpen) this.responseBody.add(payload);
      },
      responseEnd: (trailers: readonly string[]) => {
        if (this.isOpen) this.responseBody.finish(this.#kept(trailers));
        this.#finish('complete');
      },
      switched: (head: Head) => {
        this.#responseHead(head);
        this.#finish('switched');
      },
      failed: (code: string) => {
        if (this.isOpen) this.code = code;
        this.#finish('failed');
      },
      abandoned: () => this.#finish('abandoned'),
    };
  }

  /** Nobody looks on any more. */
  unwatch(): void {
    this.#finish('unwatched');
  }

  #responseHead({ status, reason, headers }: Head): void {
    if (!this.isOpen) return;
    this.firstByteMs = this.#nowMs;
    this.response = { status, reason, headers: this.#kept(headers) };
  }

  get #nowMs(): number {
    return this.#needs.elapsed() - this.#startMs;
  }

  #finish(end: CaptureEnd): void {
    if (!this.isOpen) return;
    this.end = end;
    this.durationMs = this.#nowMs;
  }

  /** Headers without secrets; none where there is no room for them. */
  #kept(headers: readonly string[]): readonly string[] {
    if (headers.length === 0) return headers;
    const kept = this.#needs.redact(headers);
    return this.#needs.reserve(this, textBytes(kept)) ? kept : [];
  }
}

/** A body that is copied as it passes, into memory that doubles. */
class GrowingBody implements CapturedBody {
  bytes = 0;
  isWhole = false;
  trailers: readonly string[] = [];
  readonly #bytesMax: number;
  readonly #reserve: (bytes: number) => boolean;
  #memory = NOTHING;
  #keptBytes = 0;
  #isFull = false;

  constructor(bytesMax: number, reserve: (bytes: number) => boolean) {
    this.#bytesMax = bytesMax;
    this.#reserve = reserve;
  }

  get content(): Buffer {
    return this.#memory.subarray(0, this.#keptBytes);
  }

  add(payload: Buffer): void {
    this.bytes += payload.length;
    if (this.#isFull) return;
    const wanted = Math.min(this.#keptBytes + payload.length, this.#bytesMax);
    if (wanted > this.#memory.length && !this.#grow(wanted)) {
      this.#isFull = true;
      return;
    }
    payload.copy(this.#memory, this.#keptBytes, 0, wanted - this.#keptBytes);
    this.#keptBytes = wanted;
    // A hole in the middle would be worse than an early end.
    this.#isFull = this.bytes > wanted;
  }

  finish(trailers: readonly string[]): void {
    this.isWhole = true;
    this.trailers = trailers;
  }

  #grow(wanted: number): boolean {
    const size = Math.min(Math.max(wanted, this.#memory.length * 2, BODY_BYTES_MIN), this.#bytesMax);
    if (!this.#reserve(size - this.#memory.length)) return false;
    // Not from the pool of small buffers, which would be held by what is left of it here.
    const memory = Buffer.allocUnsafeSlow(size);
    this.#memory.copy(memory);
    this.#memory = memory;
    return true;
  }
}

const NOTHING = Buffer.alloc(0);
const BODY_BYTES_MIN = 512;

const textBytes = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + text.length + LIMITS.inspectionTextBytes, 0);
