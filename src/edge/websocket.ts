/**
 * The part of the WebSocket handshake that only HTTP/1.1 has: the edge speaks it for a side that came over HTTP/2 (RFC 8441 5).
 *
 * Invariant: a handshake in which both sides speak HTTP/1.1 passes untouched; its two ends check each other.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { HeaderList } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';

// RFC 6455 1.3.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A handshake of the edge's own with an HTTP/1.1 upstream. */
export interface Challenge {
  /** The headers of the downstream's request, with a key of the edge. */
  readonly headers: HeaderList;
  /** The Sec-WebSocket-Accept that answers the key. */
  readonly accept: string;
}

const isNamed = (headers: HeaderList, at: number, wanted: string): boolean =>
  (headers[at] as string).toLowerCase() === wanted;

const headerValue = (headers: HeaderList, wanted: string): string | undefined => {
  for (let i = 0; i < headers.length; i += 2) if (isNamed(headers, i, wanted)) return headers[i + 1];
  return undefined;
};

/** RFC 6455 4.2.2. */
const acceptOf = (key: string): string =>
  createHash('sha1')
    .update(key + GUID)
    .digest('base64');

/** What an HTTP/1.1 upstream is to be asked of a WebSocket that came as an extended CONNECT; undefined for every other request. */
export const createChallenge = ({ headers, upgrade, protocol }: DownstreamRequest): Challenge | undefined => {
  if (upgrade !== 'websocket' || protocol !== 'h2') return undefined;
  const key = randomBytes(16).toString('base64');
  const asked: HeaderList = [];
  // RFC 8441 5: a key of the downstream means nothing in HTTP/2.
  for (let i = 0; i < headers.length; i += 2)
    if (!isNamed(headers, i, 'sec-websocket-key')) asked.push(headers[i] as string, headers[i + 1] as string);
  asked.push('Sec-WebSocket-Key', key);
  if (headerValue(headers, 'sec-websocket-version') === undefined) asked.push('Sec-WebSocket-Version', '13');
  return { headers: asked, accept: acceptOf(key) };
};

/** Whether the upstream took the challenge for a WebSocket's, and did not just answer 101 (RFC 6455 4.1). */
export const isMet = ({ accept }: Challenge, answered: HeaderList): boolean =>
  headerValue(answered, 'sec-websocket-accept') === accept;

/** What an HTTP/1.1 downstream wants to see when an HTTP/2 upstream has agreed. */
export const acceptFor = ({ headers, upgrade }: DownstreamRequest): HeaderList => {
  const key = upgrade === 'websocket' ? headerValue(headers, 'sec-websocket-key') : undefined;
  return key === undefined ? [] : ['Sec-WebSocket-Accept', acceptOf(key)];
};
