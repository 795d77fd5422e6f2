/**
 * Where a body ends: content length, chunked coding or the end of the connection (RFC 9112 section 6).
 *
 * Flow: the connection asks `take` how many bytes of a chunk belong to the body and passes that range on untouched; a sink is given
 * only where the peer on the other side needs the payload without its chunked framing.
 * Invariant: a message that two parsers could frame in two ways is refused, never repaired: that is request smuggling.
 */
import { LIMITS } from '../../base/limits.ts';
import { passableTrailers } from '../headers.ts';
import { type HeaderList, headerLines, parseHeaders } from './head.ts';

/** How the end of a body is told. */
export type Framing =
  | { kind: 'none' }
  | { kind: 'length'; length: number }
  | { kind: 'chunked' }
  | { kind: 'close' };

const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const CLOSE: Framing = { kind: 'close' };

/** What the headers say about the length of the body; each is undefined when the header is absent. */
export interface LengthHeaders {
  contentLength: string | undefined;
  /** All Transfer-Encoding values, joined by commas. */
  transferEncoding: string | undefined;
}

const lengthFrom = (text: string): number => {
  // Digits only, and few enough to be exact: `+1`, `0x1`, `1,1` and friends have been read differently by different servers.
  if (!/^\d{1,15}$/.test(text)) throw new SyntaxError('a malformed Content-Length');
  return Number(text);
};

const framingFrom = ({ contentLength, transferEncoding }: LengthHeaders, unsaid: Framing): Framing => {
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) throw new SyntaxError('both Content-Length and Transfer-Encoding');
    if (transferEncoding.toLowerCase() !== 'chunked') throw new SyntaxError('an unknown Transfer-Encoding');
    return CHUNKED;
  }
  if (contentLength === undefined) return unsaid;
  const length = lengthFrom(contentLength);
  return length === 0 ? NONE : { kind: 'length', length };
};

/** @throws SyntaxError when the framing is ambiguous or unknown */
export const requestFraming = (lengths: LengthHeaders, minorVersion: number): Framing => {
  if (minorVersion === 0 && lengths.transferEncoding !== undefined)
    throw new SyntaxError('Transfer-Encoding in HTTP/1.0');
  return framingFrom(lengths, NONE);
};

/** @throws SyntaxError when the framing is ambiguous or unknown */
export const responseFraming = (lengths: LengthHeaders, status: number, method: string): Framing => {
  // Checked even where no body follows: the headers pass on, and the next parser refuses them, or believes them.
  const framing = framingFrom(lengths, CLOSE);
  return method === 'HEAD' || status < 200 || status === 204 || status === 304 ? NONE : framing;
};

/** Receives ranges of payload. */
export type PayloadSink = (chunk: Buffer, start: number, end: number) => void;

/** Follows one body through the chunks of a connection. */
export interface BodyReader {
  /**
   * @param sink gets the ranges that are payload, for a peer that does not want the framing
   * @returns the offset in `chunk` after the last byte that belongs to this body
   * @throws SyntaxError on broken chunked framing
   */
  take(chunk: Buffer, offset: number, sink?: PayloadSink): number;
  readonly isDone: boolean;
  /** What followed a chunked body; complete when it is done. */
  readonly trailers?: HeaderList;
}

/** The reader for a framing. */
export const createBodyReader = (framing: Framing): BodyReader => {
  if (framing.kind === 'chunked') return new ChunkedReader();
  if (framing.kind === 'none') return EMPTY_BODY;
  return new LengthReader(framing.kind === 'length' ? framing.length : Number.POSITIVE_INFINITY);
};

/** The body of a message that has none. */
export const EMPTY_BODY: BodyReader = { take: (_chunk, offset) => offset, isDone: true };

/** What stands before a chunk of this many bytes; CRLF follows it. */
export const chunkFrom = (bytes: number): string => `${bytes.toString(16)}\r\n`;

/** The end of a chunked body. */
export const lastChunkFrom = (trailers: HeaderList): string => `0\r\n${headerLines(trailers)}\r\n`;

/** Counts down; with an infinite length it takes all until the connection ends. */
class LengthReader implements BodyReader {
  #remaining: number;

  constructor(length: number) {
    this.#remaining = length;
  }

  get isDone(): boolean {
    return this.#remaining === 0;
  }

  take(chunk: Buffer, offset: number, sink?: PayloadSink): number {
    const end = Math.min(chunk.length, offset + this.#remaining);
    this.#remaining -= end - offset;
    if (sink && end > offset) sink(chunk, offset, end);
    return end;
  }
}

const STATE = { size: 0, data: 1, dataEnd: 2, trailer: 3, done: 4 } as const;
const CR = 13;
const LF = 10;
// chunk-size, then extensions by the grammar of RFC 9112 7.1.1 but without its bad white space: they pass on untouched, and parsers have
// differed about where they end. 12 hex digits are 256 TiB and stay exact in a double.
const SIZE_LINE =
  /^([0-9A-Fa-f]{1,12})(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*$/;

/** RFC 9112 section 7.1, without ever copying data. */
class ChunkedReader implements BodyReader {
  #state: (typeof STATE)[keyof typeof STATE] = STATE.size;
  #remaining = 0;
  // The line being read when it is split over chunks of the connection, latin1.
  #line = '';
  #trailerBytes = 0;
  readonly trailers: HeaderList = [];

  get isDone(): boolean {
    return this.#state === STATE.done;
  }

  take(chunk: Buffer, offset: number, sink?: PayloadSink): number {
    let at = offset;
    while (at < chunk.length && this.#state !== STATE.done) {
      if (this.#state === STATE.data) {
        const end = Math.min(chunk.length, at + this.#remaining);
        if (sink) sink(chunk, at, end);
        this.#remaining -= end - at;
        at = end;
        if (this.#remaining === 0) this.#state = STATE.dataEnd;
      } else {
        at = this.#takeLine(chunk, at);
      }
    }
    return at;
  }

  #takeLine(chunk: Buffer, start: number): number {
    const lineFeed = chunk.indexOf(LF, start);
    const end = lineFeed < 0 ? chunk.length : lineFeed;
    if (this.#line.length + end - start > LIMITS.chunkLineBytesMax)
      throw new SyntaxError('a chunk line that is too long');
    if (lineFeed < 0) {
      this.#line += chunk.toString('latin1', start, end);
      return end;
    }
    const line = this.#line + chunk.toString('latin1', start, end);
    this.#line = '';
    if (line.charCodeAt(line.length - 1) !== CR)
      throw new SyntaxError('a chunk line that does not end in CRLF');
    this.#lineEnded(line.slice(0, -1));
    return end + 1;
  }

  #lineEnded(line: string): void {
    if (this.#state === STATE.dataEnd) {
      if (line !== '') throw new SyntaxError('chunk data longer than its size');
      this.#state = STATE.size;
    } else if (this.#state === STATE.size) {
      const match = SIZE_LINE.exec(line);
      if (!match) throw new SyntaxError('a malformed chunk size');
      this.#remaining = Number.parseInt(match[1] as string, 16);
      this.#state = this.#remaining === 0 ? STATE.trailer : STATE.data;
    } else if (line === '') {
      this.#state = STATE.done;
    } else {
      this.#trailerBytes += line.length;
      if (this.#trailerBytes > LIMITS.trailerBytesMax) throw new SyntaxError('trailers that are too long');
      // Trailers pass untouched, so they must be as unambiguous as headers.
      if (/[\0-\x08\x0a-\x1f\x7f]/.test(line)) throw new SyntaxError('a control character in a trailer');
      const trailer = parseHeaders(line, -2);
      // They pass as they came, so one that frames, routes or identifies could only be meant for a parser that takes it for a header.
      if (passableTrailers(trailer).length === 0)
        throw new SyntaxError('a trailer that only a header may be');
      this.trailers.push(...trailer);
    }
  }
}
