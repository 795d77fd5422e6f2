/**
 * The proofs that a request carries, and the request without them (protocol.md 0.1 proof hygiene, 8.1).
 *
 * Invariant: pure. The values that are read here are the ones that are taken away: nothing that was consumed reaches the upstream, and
 * nothing else is touched. More than one proof is none: nobody could say which of them whoever stands in between has looked at.
 */
import { bearerFrom, isBearer } from '../base/bearer.ts';
import type { AuthenticationMethods } from '../policy/authentication-rule.ts';
import type { EdgeConnection } from './connection.ts';
import type { HeaderList } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';

/** What somebody offers to prove who he is. */
export type OfferedProof =
  | { readonly kind: 'none' }
  | { readonly kind: 'several' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'certificate'; readonly fingerprint: string };

type Carrier = Pick<DownstreamRequest, 'headers' | 'target'>;

/** The parameter that carries a token (protocol.md 8.1). */
const PARAMETER = 'rstream.token';
/** What a browser that has logged in elsewhere would carry; never a proof here, and never beside one. */
const COOKIE = 'rstream_auth';

const NONE: OfferedProof = { kind: 'none' };
const SEVERAL: OfferedProof = { kind: 'several' };

/** @param request absent for raw connections, which carry no proof but a certificate */
export const offeredProof = (
  methods: AuthenticationMethods,
  { certificateFingerprint }: EdgeConnection,
  request: Carrier | undefined,
): OfferedProof => {
  const tokens = request ? tokensOf(request) : [];
  const fingerprint = methods.certificate ? certificateFingerprint : undefined;
  if (fingerprint !== undefined)
    return tokens.length > 0 || (request && hasCookie(request.headers))
      ? SEVERAL
      : { kind: 'certificate', fingerprint };
  if (!methods.token || tokens.length === 0) return NONE;
  return tokens.length === 1 ? { kind: 'token', token: tokens[0] as string } : SEVERAL;
};

/** The request as the upstream of a tunnel with token_auth may see it. */
export const withoutTokens = <Request extends Carrier>(request: Request): Request => ({
  ...request,
  target: withoutParameter(request.target),
  headers: headersWithoutTokens(request.headers),
});

const tokensOf = ({ headers, target }: Carrier): string[] => {
  const tokens = parametersOf(target).filter(isToken).map(tokenFrom);
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    // One that is not well written counts as well: whoever stands in between may read it otherwise.
    if (isNamed(headers[i] as string, 'authorization') && isBearer(value))
      tokens.push(bearerFrom(value) ?? '');
  }
  return tokens;
};

const headersWithoutTokens = (headers: HeaderList): HeaderList => {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    if (isNamed(name, 'authorization') && isBearer(value)) continue;
    // A page that was opened with a token in its address has it in the referrer of all that it loads.
    kept.push(name, isNamed(name, 'referer') ? withoutParameter(value) : value);
  }
  return kept;
};

const isNamed = (name: string, lowerName: string): boolean =>
  name.length === lowerName.length && name.toLowerCase() === lowerName;

const hasCookie = (headers: HeaderList): boolean => {
  for (let i = 0; i < headers.length; i += 2)
    if (isNamed(headers[i] as string, 'cookie'))
      for (const pair of (headers[i + 1] as string).split(';'))
        if (pair.split('=', 1)[0]?.trim() === COOKIE) return true;
  return false;
};

const parametersOf = (target: string): string[] => {
  const start = target.indexOf('?');
  return start < 0 ? [] : target.slice(start + 1).split('&');
};

// In every spelling that an upstream could read as the same name.
const isToken = (parameter: string): boolean => decoded(parameter.split('=', 1)[0] as string) === PARAMETER;

const tokenFrom = (parameter: string): string => decoded(parameter.split('=').slice(1).join('='));

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

const withoutParameter = (target: string): string => {
  const parameters = parametersOf(target);
  const kept = parameters.filter((parameter) => !isToken(parameter));
  if (kept.length === parameters.length) return target;
  const path = target.slice(0, target.indexOf('?'));
  return kept.length > 0 ? `${path}?${kept.join('&')}` : path;
};
