/**
 * What a downstream asks for, whatever HTTP version carried it: the one value that routing, policy and forwarding read.
 *
 * Invariant: the authority that routes is the one that the upstream sees; a request that names two hosts is refused.
 */
import { fail } from '../base/errors.ts';
import { factsFrom, type HeaderFacts } from './headers.ts';
import { type Framing, requestFraming } from './http1/framing.ts';
import type { HeaderList, RequestHead } from './http1/head.ts';

/** One request, checked. */
export interface DownstreamRequest {
  readonly protocol: 'http/1.0' | 'http/1.1' | 'h2';
  readonly method: string;
  /** Origin form: a path with its query, or `*`; for CONNECT the authority to connect to. */
  readonly target: string;
  /** Host and port that route the request, as the downstream wrote them. */
  readonly authority: string;
  readonly headers: HeaderList;
  readonly facts: HeaderFacts;
  /** A body of unknown length is `chunked` in every version. */
  readonly framing: Framing;
  /** The protocol that the request asks to switch to. */
  readonly upgrade: string | undefined;
  /** A CONNECT that asks for raw bytes (RFC 9110 9.3.6), not one that carries a protocol (RFC 8441). */
  readonly isConnect: boolean;
  /** Whether the downstream wants the connection closed after the answer. */
  readonly wantsClose: boolean;
}

// RFC 3986 3.2.2 reg-name or IP literal, then an optional port; empty is legal in HTTP and names nobody.
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const CONNECT_TARGET = /^(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
const PATH = /^(?:\/[\x21-\x7e\x80-\xff]*|\*)$/;
const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)$/i;
const SAFE_UPGRADE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z/]+$/;

/**
 * @param serverName of the TLS connection: what routes a CONNECT, and an HTTP/1.0 request without Host
 * @throws REQUEST_MALFORMED or EXPECTATION_FAILED, and SyntaxError from the framing rules
 */
export const requestFrom = (head: RequestHead, serverName: string | undefined): DownstreamRequest => {
  const { method, minorVersion, headers } = head;
  const facts = factsFrom(headers);
  if (facts.hostCount > 1 || (facts.hostCount === 0 && minorVersion === 1))
    throw malformed(facts.hostCount > 1 ? 'more than one Host header' : 'no Host header');
  checkCommon(facts);
  const framing = requestFraming(facts, minorVersion);
  const isConnect = method === 'CONNECT';
  if (isConnect && framing.kind !== 'none') throw malformed('a CONNECT request with a body');
  return {
    protocol: minorVersion === 1 ? 'http/1.1' : 'http/1.0',
    method,
    target: isConnect ? connectTarget(head.target) : originForm(method, head.target, facts.host),
    // An empty Host names nobody: the upstream would see it, and not the name that was routed by.
    authority: isConnect || facts.hostCount === 0 ? (serverName ?? '') : facts.host,
    headers,
    facts,
    framing,
    upgrade: isConnect ? undefined : upgradeFrom(facts, minorVersion, framing),
    isConnect,
    wantsClose: minorVersion === 0 || facts.connection.includes('close'),
  };
};

/** What HTTP/2 carries beside its headers (RFC 9113 8.3.1, RFC 8441 4). */
export interface PseudoHeaders {
  readonly method: string;
  readonly path: string | undefined;
  readonly authority: string | undefined;
  readonly protocol: string | undefined;
}

/**
 * @param headers without pseudo-headers
 * @param isWhole whether the request has no body
 * @throws REQUEST_MALFORMED or EXPECTATION_FAILED, and SyntaxError from the framing rules
 */
export const requestFromHttp2 = (
  { method, path = '', authority, protocol }: PseudoHeaders,
  headers: HeaderList,
  isWhole: boolean,
  serverName: string | undefined,
): DownstreamRequest => {
  const facts = factsFrom(headers);
  if (facts.connection.length > 0 || facts.transferEncoding !== undefined || facts.upgrade !== undefined)
    throw malformed('a connection-specific header in HTTP/2');
  if (facts.hostCount > 1) throw malformed('more than one Host header');
  if (
    authority !== undefined &&
    facts.hostCount === 1 &&
    authority.toLowerCase() !== facts.host.toLowerCase()
  )
    throw malformed('a Host header that disagrees with :authority');
  checkCommon(facts);
  const isConnect = method === 'CONNECT' && protocol === undefined;
  const host = authority ?? facts.host;
  if (!isConnect && !AUTHORITY.test(host)) throw malformed('a malformed :authority');
  // An upstream of HTTP/1.1 gets them in one line: a blank in either would make two requests of it.
  if (!METHOD.test(method)) throw malformed('a malformed :method');
  if (!isConnect && !PATH.test(path)) throw malformed('a malformed :path');
  // As with an upgrade, but a CONNECT has no meaning without it (RFC 9220 3).
  if (protocol !== undefined && !mayUpgradeTo(protocol)) throw fail('PROTOCOL_NOT_SUPPORTED');
  const { contentLength } = facts;
  const length = requestFraming({ contentLength, transferEncoding: undefined }, 1);
  // What follows a CONNECT is no body; a CONNECT that carries a protocol is the GET of an upgrade (RFC 8441 5).
  const hasBody = !isWhole && method !== 'CONNECT';
  const upgradeMethod = protocol === undefined ? method : 'GET';
  return {
    protocol: 'h2',
    method: upgradeMethod,
    target: isConnect ? connectTarget(host) : originForm(upgradeMethod, path, host),
    authority: isConnect ? (serverName ?? '') : host,
    headers,
    facts,
    framing: hasBody ? (contentLength === undefined ? { kind: 'chunked' } : length) : { kind: 'none' },
    upgrade: protocol,
    isConnect,
    wantsClose: false,
  };
};

const malformed = (problem: string) => fail('REQUEST_MALFORMED', { problem });

const checkCommon = (facts: HeaderFacts): void => {
  if (!AUTHORITY.test(facts.host)) throw malformed('a malformed Host header');
  if (facts.expect !== undefined && facts.expect.toLowerCase() !== '100-continue')
    throw fail('EXPECTATION_FAILED');
};

const connectTarget = (target: string): string => {
  if (!CONNECT_TARGET.test(target)) throw malformed('a CONNECT target that is not host:port');
  return target;
};

const originForm = (method: string, target: string, host: string): string => {
  if (target.startsWith('/')) {
    if (target.includes('#')) throw malformed('a fragment in the request target');
    return target;
  }
  if (target === '*' && method === 'OPTIONS') return target;
  // RFC 9112 3.2.2 has servers accept the absolute form; one that disagrees with Host would route by one name and be served as another.
  const match = ABSOLUTE.exec(target);
  if (!match) throw malformed('a request target that is not a path');
  if ((match[1] as string).toLowerCase() !== host.toLowerCase())
    throw malformed('a request target that disagrees with Host');
  const path = match[2] as string;
  return path.startsWith('/') ? path : `/${path}`;
};

const mayUpgradeTo = (upgrade: string): boolean =>
  SAFE_UPGRADE.test(upgrade) && !/^(h2c?|tls|http)(\/|$)/i.test(upgrade);

/**
 * An upgrade that may pass, or undefined: then the request goes on as an ordinary one, which RFC 9110 7.8 allows. HTTP/2 is not
 * upgraded to in clear text: the requests inside would pass the edge unseen.
 */
const upgradeFrom = (facts: HeaderFacts, minorVersion: number, framing: Framing): string | undefined => {
  const { upgrade } = facts;
  if (
    upgrade === undefined ||
    minorVersion === 0 ||
    framing.kind !== 'none' ||
    !facts.connection.includes('upgrade')
  )
    return undefined;
  if (!mayUpgradeTo(upgrade)) return undefined;
  // Compared elsewhere, and in HTTP/2 the name of a protocol is told by its case (RFC 8441 4).
  return /^websocket$/i.test(upgrade) ? 'websocket' : upgrade;
};
