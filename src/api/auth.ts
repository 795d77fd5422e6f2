/**
 * Who asks the Engine API.
 *
 * Invariant: a token comes in the Authorization header: URLs end up in logs, histories and referrers. Only the watch endpoints take one
 * in the URL, since browsers cannot set headers there, and only of those that may stand in it (protocol.md 0.1, query tokens).
 */
import type { Context } from 'koa';
import { bearerFrom } from '../base/bearer.ts';
import { fail } from '../base/errors.ts';
import { type Permission, type Principal, requirePermission } from '../base/principal.ts';

/** Provided by store, for a token that came from an address. Throws the identity codes of the error table. */
export type VerifyToken = (token: string | undefined, address: string) => Promise<Principal>;

export interface TokenVerifiers {
  readonly verifyToken: VerifyToken;
  /** For a token in a URL; throws TOKEN_IN_URL unless it is of those that may stand there. */
  readonly verifyQueryToken: VerifyToken;
}

/** What an endpoint wants of its callers. */
export interface Admission {
  /** Absent: any valid token will do. */
  readonly permission?: Permission | undefined;
  readonly takesQueryToken?: boolean;
}

export const QUERY_TOKEN = 'rstream.token';

/**
 * Admits a caller whose token is valid and, where a permission is named, has it.
 * @param address of the peer
 * @throws TOKEN_IN_URL, TOKEN_INVALID, PERMISSION_MISSING, and whatever the verifiers throw
 */
export const admit = async (
  ctx: Context,
  address: string,
  { verifyToken, verifyQueryToken }: TokenVerifiers,
  { permission, takesQueryToken = false }: Admission,
): Promise<Principal> => {
  const [authorization, ...others] = valuesOf(ctx, 'authorization');
  const queryToken = ctx.query[QUERY_TOKEN];
  if (queryToken !== undefined && !takesQueryToken) throw fail('TOKEN_IN_URL');
  // Two proofs: which of them did whoever stands in between check?
  if (others.length > 0 || Array.isArray(queryToken)) throw fail('TOKEN_INVALID');
  if (authorization !== undefined && queryToken !== undefined) throw fail('TOKEN_INVALID');
  const principal = await (queryToken === undefined
    ? verifyToken(bearerFrom(authorization ?? ''), address)
    : verifyQueryToken(queryToken, address));
  if (permission !== undefined) requirePermission(principal, permission);
  return principal;
};

/** RFC 6750 3: says which proof is wanted, and whether one was seen. */
export const challengeFor = (code: string, realm = 'rstream Engine API'): string =>
  code === 'TOKEN_MISSING' || !code.startsWith('TOKEN_')
    ? `Bearer realm="${realm}"`
    : `Bearer realm="${realm}", error="invalid_token"`;

/** Every header line of this name, which node:http2 would merge. */
const valuesOf = ({ req }: Context, name: string): string[] => {
  const { rawHeaders } = req;
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
};
