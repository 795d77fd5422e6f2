/**
 * What the edge reads from headers, and what it lets through in each direction. Pure.
 *
 * Invariant: hop-by-hop headers end here (RFC 9110 7.6.1), forwarding headers come from the edge alone, Host and Origin pass untouched.
 */
import type { HeaderList } from './http1/head.ts';

/** Set where the inspector sends a request once more; downstreams cannot set it. */
const REPLAY_MARK = 'x-rstream-replay';

/** What a header is to the edge; every other header passes. */
const CLASS = {
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  hopByHop: 7,
  te: 8,
  forwarded: 9,
  ours: 10,
} as const;
type HeaderClass = (typeof CLASS)[keyof typeof CLASS];

const CLASS_BY_NAME = new Map<string, HeaderClass>([
  ['host', CLASS.host],
  ['content-length', CLASS.contentLength],
  ['transfer-encoding', CLASS.transferEncoding],
  ['connection', CLASS.connection],
  ['upgrade', CLASS.upgrade],
  ['expect', CLASS.expect],
  ['keep-alive', CLASS.hopByHop],
  ['proxy-connection', CLASS.hopByHop],
  // Part of the HTTP/1.1-to-HTTP/2 upgrade that RFC 9113 dropped; passing it on is a way around the edge.
  ['http2-settings', CLASS.hopByHop],
  ['te', CLASS.te],
  // A downstream's own claims about itself.
  ['x-forwarded-for', CLASS.forwarded],
  ['x-forwarded-proto', CLASS.forwarded],
  ['x-forwarded-host', CLASS.forwarded],
  ['x-forwarded-port', CLASS.forwarded],
  ['forwarded', CLASS.forwarded],
  ['x-real-ip', CLASS.forwarded],
  // What the edge alone says, also to the operator's own proxies.
  [REPLAY_MARK, CLASS.ours],
]);

// The usual spelling too, so that the hot path rarely makes a lower-case copy.
for (const [name, kind] of [...CLASS_BY_NAME])
  CLASS_BY_NAME.set(
    name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase()),
    kind,
  );

const isHopByHop = (kind: HeaderClass | undefined): boolean =>
  kind === CLASS.connection || kind === CLASS.upgrade || kind === CLASS.hopByHop;

// Length and first letter rule out nearly every other header, at a fraction of what hashing its name costs.
const shapeOf = (name: string): number => name.length * 256 + (name.charCodeAt(0) | 32);
const KNOWN_SHAPES = new Set([...CLASS_BY_NAME.keys()].map(shapeOf));

const classOf = (name: string): HeaderClass | undefined =>
  KNOWN_SHAPES.has(shapeOf(name))
    ? (CLASS_BY_NAME.get(name) ?? CLASS_BY_NAME.get(name.toLowerCase()) ?? classOfAlias(name))
    : undefined;

/** Many frameworks read hyphens and underscores as one: what the edge alone says is not said in any mixture of them either. */
const classOfAlias = (name: string): HeaderClass | undefined => {
  if (!name.includes('_')) return undefined;
  const kind = CLASS_BY_NAME.get(name.toLowerCase().replaceAll('_', '-'));
  return kind === CLASS.forwarded || kind === CLASS.ours ? kind : undefined;
};

/** The headers that decide about a message, gathered in one pass. */
export interface HeaderFacts {
  hostCount: number;
  host: string;
  contentLength: string | undefined;
  transferEncoding: string | undefined;
  /** Lower-case tokens of all Connection headers. */
  connection: string[];
  upgrade: string | undefined;
  expect: string | undefined;
}

const NO_TOKENS: string[] = [];

/** @throws SyntaxError when Content-Length appears more than once */
export const factsFrom = (headers: HeaderList): HeaderFacts => {
  const facts: HeaderFacts = {
    hostCount: 0,
    host: '',
    contentLength: undefined,
    transferEncoding: undefined,
    connection: NO_TOKENS,
    upgrade: undefined,
    expect: undefined,
  };
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    switch (classOf(headers[i] as string)) {
      case CLASS.host:
        facts.hostCount += 1;
        facts.host = value;
        break;
      case CLASS.contentLength:
        if (facts.contentLength !== undefined) throw new SyntaxError('more than one Content-Length');
        facts.contentLength = value;
        break;
      case CLASS.transferEncoding:
        facts.transferEncoding =
          facts.transferEncoding === undefined ? value : `${facts.transferEncoding},${value}`;
        break;
      case CLASS.connection:
        facts.connection = facts.connection.concat(value.toLowerCase().split(',').map(trimmed));
        break;
      case CLASS.upgrade:
        facts.upgrade = facts.upgrade === undefined ? value : `${facts.upgrade},${value}`;
        break;
      case CLASS.expect:
        facts.expect = value;
        break;
    }
  }
  return facts;
};

const trimmed = (text: string): string => text.trim();

// What a Connection header may not take away: the peer would hide from the upstream what the edge has just decided by.
const NEVER_NOMINATED = new Set(['host', 'content-length', 'transfer-encoding', 'authorization', 'cookie']);

/** Names that a Connection header nominates, besides the known hop-by-hop ones; undefined in the usual case of none. */
const nominatedBy = (connection: string[]): Set<string> | undefined => {
  let names: Set<string> | undefined;
  for (const token of connection) {
    if (token === '' || token === 'close' || token === 'keep-alive' || token === 'upgrade') continue;
    if (!NEVER_NOMINATED.has(token)) names = (names ?? new Set()).add(token);
  }
  return names;
};

/** What the edge says about the downstream in the request that it passes on. */
export interface ForwardedFacts {
  readonly remoteAddress: string;
  /** The port that downstreams use. */
  readonly publicPort: number;
  /** Whether the peer is one of the operator's own proxies: then its forwarding headers are kept and ours appended. */
  readonly isTrustedProxy: boolean;
  /** Whether the inspector sends the request once more. */
  readonly isReplay?: boolean;
}

/**
 * The headers of a request as the upstream gets them, Host included.
 * @param host the authority that the request was routed by
 * @param forwarded undefined for a request of the engine's own
 * @param isHttp2 whether the upstream speaks HTTP/2, where `TE: trailers` has a meaning of its own (RFC 9113 8.2.2)
 */
export const upstreamHeaders = (
  headers: HeaderList,
  facts: HeaderFacts,
  host: string,
  forwarded: ForwardedFacts | undefined,
  isHttp2: boolean,
): HeaderList => {
  const nominated = nominatedBy(facts.connection);
  const passed: HeaderList = facts.hostCount === 0 ? ['Host', host] : [];
  let keptFor = '';
  let kept: Set<string> | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const kind = classOf(name);
    if (isHopByHop(kind) || (isHttp2 && kind === CLASS.transferEncoding)) continue;
    if (kind === CLASS.ours) continue;
    if (kind === CLASS.te && !(isHttp2 && value === 'trailers')) continue;
    if (kind === CLASS.forwarded) {
      const lowerName = name.toLowerCase();
      // No proxy writes the underscore forms: they are what a downstream got past it.
      if (!forwarded?.isTrustedProxy || lowerName.includes('_')) continue;
      if (lowerName === 'x-forwarded-for') {
        if (value !== '') keptFor += `${value}, `;
        continue;
      }
      kept = (kept ?? new Set()).add(lowerName);
    } else if (nominated?.has(name.toLowerCase())) continue;
    passed.push(name, value);
  }
  if (!forwarded) return passed;
  passed.push('X-Forwarded-For', keptFor + forwarded.remoteAddress);
  if (!kept?.has('x-forwarded-proto')) passed.push('X-Forwarded-Proto', 'https');
  if (!kept?.has('x-forwarded-host')) passed.push('X-Forwarded-Host', host);
  if (!kept?.has('x-forwarded-port')) passed.push('X-Forwarded-Port', String(forwarded.publicPort));
  if (forwarded.isReplay) passed.push(REPLAY_MARK, '1');
  return passed;
};

/**
 * The headers of a response as the downstream gets them.
 * @param keepsFraming whether chunked framing passes through, so that Transfer-Encoding stays
 */
export const downstreamHeaders = (
  headers: HeaderList,
  facts: HeaderFacts,
  keepsFraming: boolean,
): HeaderList => {
  const nominated = nominatedBy(facts.connection);
  const passed: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const kind = classOf(name);
    if (isHopByHop(kind) || kind === CLASS.te || (kind === CLASS.transferEncoding && !keepsFraming)) continue;
    if (nominated?.has(name.toLowerCase())) continue;
    passed.push(name, headers[i + 1] as string);
  }
  return passed;
};

/** The headers without Content-Length. */
export const withoutLength = (headers: HeaderList): HeaderList => {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2)
    if (classOf(headers[i] as string) !== CLASS.contentLength)
      kept.push(headers[i] as string, headers[i + 1] as string);
  return kept;
};

/** Trailers that may pass: none that frames, routes or identifies (RFC 9110 6.5.1). */
export const passableTrailers = (trailers: HeaderList): HeaderList => {
  const passed: HeaderList = [];
  for (let i = 0; i < trailers.length; i += 2)
    if (classOf(trailers[i] as string) === undefined)
      passed.push(trailers[i] as string, trailers[i + 1] as string);
  return passed;
};
