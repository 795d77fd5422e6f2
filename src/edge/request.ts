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
  readonly method: string;
  /** Origin form: a path with its query, or `*`. */
  readonly target: string;
  /** Host and port as the downstream wrote them; the server name of the connection when an HTTP/1.0 request has no Host. */
  readonly authority: string;
  readonly headers: HeaderList;
  readonly facts: HeaderFacts;
  readonly framing: Framing;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  readonly minorVersion: number;
  /** The protocol that the request asks to switch to. */
  readonly upgrade: string | undefined;
  /** Whether the downstream wants the connection closed after the answer. */
  readonly wantsClose: boolean;
}

// RFC 3986 3.2.2 reg-name or IP literal, then an optional port; empty is legal in HTTP and names nobody.
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)$/i;
const SAFE_UPGRADE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z/]+$/;

/**
 * @param serverName of the TLS connection: the authority of an HTTP/1.0 request without Host
 * @throws REQUEST_MALFORMED, METHOD_NOT_SUPPORTED or EXPECTATION_FAILED, and SyntaxError from the framing rules
 */
export const requestFrom = (head: RequestHead, serverName: string | undefined): DownstreamRequest => {
  const { method, minorVersion, headers } = head;
  const facts = factsFrom(headers);
  if (facts.hostCount > 1 || (facts.hostCount === 0 && minorVersion === 1))
    throw malformed(facts.hostCount > 1 ? 'more than one Host header' : 'no Host header');
  if (!AUTHORITY.test(facts.host)) throw malformed('a malformed Host header');
  const framing = requestFraming(facts, minorVersion);
  if (facts.expect !== undefined && facts.expect.toLowerCase() !== '100-continue')
    throw fail('EXPECTATION_FAILED');
  return {
    method,
    target: originForm(method, head.target, facts.host),
    // An empty Host names nobody: the upstream would see it, and not the name that was routed by.
    authority: facts.hostCount === 0 ? (serverName ?? '') : facts.host,
    headers,
    facts,
    framing,
    minorVersion,
    upgrade: upgradeFrom(facts, minorVersion, framing),
    wantsClose: minorVersion === 0 || facts.connection.includes('close'),
  };
};

const malformed = (problem: string) => fail('REQUEST_MALFORMED', { problem });

const originForm = (method: string, target: string, host: string): string => {
  if (method === 'CONNECT') throw fail('METHOD_NOT_SUPPORTED', { method });
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
  if (!SAFE_UPGRADE.test(upgrade) || /^(h2c?|tls|http)(\/|$)/i.test(upgrade)) return undefined;
  return upgrade;
};
