/** Reads a connection with the parts that downstream.ts and upstream.ts read theirs with. */
import { LIMITS } from '../../src/base/limits.ts';
import { factsFrom } from '../../src/edge/headers.ts';
import { type BodyReader, createBodyReader, responseFraming } from '../../src/edge/http1/framing.ts';
import { HeadReader, parseRequestHead, parseResponseHead } from '../../src/edge/http1/head.ts';
import { requestFrom } from '../../src/edge/request.ts';
import type { Seen, SeenMessage } from './seen.ts';

/** A message whose head has been read. */
interface Begun {
  readonly start: readonly (string | number)[];
  readonly headers: readonly string[];
  readonly body: BodyReader;
  /** Whether nothing behind this message is read as a further one. */
  readonly isLast: boolean;
}

const requestBegun = (text: string): Begun => {
  const head = parseRequestHead(text);
  const { framing, facts, isConnect, wantsClose } = requestFrom(head, 'x.test');
  return {
    start: [head.method, head.target, head.minorVersion],
    headers: head.headers,
    body: createBodyReader(framing),
    // Behind what asks for another protocol Node reads nothing until it is told that there will be none.
    isLast: isConnect || wantsClose || facts.upgrade !== undefined,
  };
};

const responseBegun = (text: string): Begun => {
  const head = parseResponseHead(text);
  const framing = responseFraming(factsFrom(head.headers), head.status, 'GET');
  return {
    start: [head.status, head.reason, head.minorVersion],
    headers: head.headers,
    body: createBodyReader(framing),
    isLast: head.status >= 200 || head.status === 101,
  };
};

/** The state of one connection that is being read. */
class Reading {
  readonly seen: Seen = { messages: [], fault: undefined, isOver: false };
  readonly #headReader: HeadReader;
  readonly #begin: (text: string) => Begun;
  #begun: Begun | undefined;

  constructor(headReader: HeadReader, begin: (text: string) => Begun) {
    this.#headReader = headReader;
    this.#begin = begin;
  }

  push(piece: Buffer): void {
    let offset = 0;
    while (offset >= 0 && offset < piece.length && !this.seen.isOver)
      offset = this.#begun ? this.#takeBody(this.#begun, piece, offset) : this.#takeHead(piece, offset);
  }

  #takeHead(piece: Buffer, offset: number): number {
    const end = this.#headReader.push(piece, offset);
    if (end < 0) return end;
    const begun = this.#begin(this.#headReader.text);
    const { start, headers } = begun;
    this.seen.messages.push({ start, headers, body: '', trailers: [], isWhole: false });
    this.#begun = begun;
    // A body of no bytes is whole before any have come.
    return this.#takeBody(begun, piece, end);
  }

  #takeBody({ body, isLast }: Begun, piece: Buffer, offset: number): number {
    const message = this.seen.messages.at(-1) as SeenMessage;
    const end = body.take(piece, offset, (bytes, from, to) => {
      message.body += bytes.toString('latin1', from, to);
    });
    if (!body.isDone) return end;
    Object.assign(message, { isWhole: true, trailers: body.trailers ?? [] });
    this.seen.isOver = isLast;
    this.#begun = undefined;
    return end;
  }
}

const read = (reading: Reading, pieces: readonly Buffer[]): Seen => {
  try {
    for (const piece of pieces) reading.push(piece);
  } catch (thrown) {
    reading.seen.fault = thrown instanceof Error ? thrown.message : String(thrown);
  }
  return reading.seen;
};

/** The requests of a downstream connection. */
export const readRequests = (pieces: readonly Buffer[]): Seen =>
  read(new Reading(new HeadReader(LIMITS.requestHeadBytesMax), requestBegun), pieces);

/** The response, and interim ones before it, of an upstream that has been asked with GET and has not ended the connection yet. */
export const readResponse = (pieces: readonly Buffer[]): Seen =>
  read(new Reading(new HeadReader(LIMITS.responseHeadBytesMax), responseBegun), pieces);
