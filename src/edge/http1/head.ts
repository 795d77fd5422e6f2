/**
 * Heads of HTTP/1.1 messages: from bytes to a list of headers, strict by RFC 9112 and without a socket.
 *
 * Flow: downstream.ts and upstream.ts feed a HeadReader until it has a whole head, then parse its text.
 * Invariant: what two parsers could read in two ways is refused: bare CR or LF, obs-fold, control characters, white space around names.
 * Limits: the reader refuses a head over its byte limit; LIMITS.headerLinesMax bounds the lines.
 */
import { fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';

/** Names and values in turn, names as the peer wrote them: `[name, value, name, value, ...]`. */
export type HeaderList = string[];

/** The start line and headers of a request. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  readonly minorVersion: number;
  readonly headers: HeaderList;
}

/** The start line and headers of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: number;
  readonly headers: HeaderList;
}

const CR = 13;
const LF = 10;
const END = Buffer.from('\r\n\r\n');

/** Collects one head at a time from chunks of any size; a head that lies in one chunk is not copied. */
export class HeadReader {
  readonly #bytesMax: number;
  #held: Buffer | undefined;
  #text = '';

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a part of a head is waiting for the rest. */
  get isPartial(): boolean {
    return this.#held !== undefined;
  }

  /** The head that `push` completed, without its final empty line. */
  get text(): string {
    return this.#text;
  }

  /**
   * Takes bytes from `offset` on.
   * @returns the offset after the head when it is complete, -1 when more is needed
   * @throws RangeError when the head is over the limit, SyntaxError when it holds a line break that is not CRLF
   */
  push(chunk: Buffer, offset: number): number {
    const held = this.#held;
    if (held) {
      // Joined bytes are at most the limit plus one chunk; the search begins where the end mark may straddle the seam.
      const joined = Buffer.concat([held, offset === 0 ? chunk : chunk.subarray(offset)]);
      const end = joined.indexOf(END, Math.max(0, held.length - 3));
      if (end < 0) return this.#hold(joined);
      this.#accept(joined, 0, end);
      return offset + end + 4 - held.length;
    }
    let start = offset;
    // RFC 9112 2.2: an empty line before a request line is ignored.
    if (chunk[start] === CR && chunk[start + 1] === LF) start += 2;
    if (start === chunk.length) return this.#hold(chunk.subarray(offset));
    const end = chunk.indexOf(END, start);
    if (end < 0) return this.#hold(chunk.subarray(start));
    this.#accept(chunk, start, end);
    return end + 4;
  }

  #accept(bytes: Buffer, start: number, end: number): void {
    if (end - start > this.#bytesMax) throw new RangeError('head too large');
    this.#held = undefined;
    this.#text = bytes.toString('latin1', start, end);
    if (this.#text.startsWith('\r\n')) this.#text = this.#text.slice(2);
  }

  #hold(bytes: Buffer): number {
    if (bytes.length > this.#bytesMax) throw new RangeError('head too large');
    // A head with bare line feeds may never show the end mark; saying so now beats a time-out.
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1))
      if (bytes[at - 1] !== CR) throw new SyntaxError('a line that does not end in CRLF');
    // A copy: the chunk may be a view of a much larger read buffer.
    this.#held = Buffer.from(bytes);
    return -1;
  }
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// Everything that RFC 9110 5.5 keeps out of a field value, and line breaks that are not CRLF.
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;

/**
 * @param text a head as {@link HeadReader} gives it
 * @throws SyntaxError that names the problem; REQUEST lines of other HTTP versions are HTTP_VERSION_UNSUPPORTED
 */
export const parseRequestHead = (text: string): RequestHead => {
  const lineEnd = firstLineEnd(text);
  const match = REQUEST_LINE.exec(text.slice(0, lineEnd));
  if (!match) {
    if (/ HTTP\/(?!1\.[01])\d+(\.\d+)?$/.test(text.slice(0, lineEnd))) throw fail('HTTP_VERSION_UNSUPPORTED');
    throw new SyntaxError('a malformed request line');
  }
  return {
    method: match[1] as string,
    target: match[2] as string,
    minorVersion: match[3] === '1' ? 1 : 0,
    headers: parseHeaders(text, lineEnd),
  };
};

/**
 * @param text a head as {@link HeadReader} gives it
 * @throws SyntaxError that names the problem
 */
export const parseResponseHead = (text: string): ResponseHead => {
  const lineEnd = firstLineEnd(text);
  const match = STATUS_LINE.exec(text.slice(0, lineEnd));
  if (!match) throw new SyntaxError('a malformed status line');
  return {
    status: Number(match[2]),
    reason: match[3] ?? '',
    minorVersion: match[1] === '1' ? 1 : 0,
    headers: parseHeaders(text, lineEnd),
  };
};

const firstLineEnd = (text: string): number => {
  if (FORBIDDEN.test(text)) throw new SyntaxError('a control character or a line that does not end in CRLF');
  const end = text.indexOf('\r\n');
  return end < 0 ? text.length : end;
};

const isBlank = (code: number): boolean => code === 32 || code === 9;

/** Header or trailer lines from `position` (the CRLF before the first one) to the end of the text. */
export const parseHeaders = (text: string, position: number): HeaderList => {
  const headers: HeaderList = [];
  let start = position + 2;
  while (start < text.length) {
    let end = text.indexOf('\r\n', start);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', start);
    if (isBlank(text.charCodeAt(start))) throw new SyntaxError('a folded header line');
    if (colon < 0 || colon > end) throw new SyntaxError('a header line without a colon');
    const name = text.slice(start, colon);
    if (!NAME.test(name)) throw new SyntaxError('a malformed header name');
    let from = colon + 1;
    let to = end;
    while (from < to && isBlank(text.charCodeAt(from))) from += 1;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
    headers.push(name, text.slice(from, to));
    if (headers.length > 2 * LIMITS.headerLinesMax) throw new RangeError('too many header lines');
    start = end + 2;
  }
  return headers;
};

/** Header lines for an HTTP/1.1 head, each with its line end. */
export const headerLines = (headers: HeaderList): string => {
  let text = '';
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return text;
};
