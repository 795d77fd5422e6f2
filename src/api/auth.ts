/**
 * Who asks the Engine API.
 *
 * Invariant: a token comes in the Authorization header and nowhere else: URLs end up in logs, histories and referrers.
 */
import type { Context } from 'koa';
import { fail } from '../base/errors.ts';
import { type Permission, type Principal, requirePermission } from '../base/principal.ts';

/** Provided by store. Throws the identity codes of the error table. */
export type VerifyToken = (token: string | undefined) => Promise<Principal>;

// RFC 9110 11.4; the scheme is case-insensitive, and tokens of the operator's own need not be JWTs.
const BEARER = /^bearer +(\S+) *$/i;

/**
 * Admits a caller whose token is valid and, where a permission is named, has it.
 * @throws TOKEN_IN_URL, TOKEN_INVALID, PERMISSION_MISSING, and whatever `verifyToken` throws
 */
export const admit = async (
  ctx: Context,
  verifyToken: VerifyToken,
  permission: Permission | undefined,
): Promise<void> => {
  if ('rstream.token' in ctx.query) throw fail('TOKEN_IN_URL');
  const [authorization = '', ...others] = ctx.req.headersDistinct.authorization ?? [];
  // Two proofs: which of them did whoever stands in between check?
  if (others.length > 0) throw fail('TOKEN_INVALID');
  const principal = await verifyToken(BEARER.exec(authorization)?.[1]);
  if (permission !== undefined) requirePermission(principal, permission);
};

/** RFC 6750 3: says which proof is wanted, and whether one was seen. */
export const challengeFor = (code: string, realm = 'rstream Engine API'): string =>
  code === 'TOKEN_MISSING' || !code.startsWith('TOKEN_')
    ? `Bearer realm="${realm}"`
    : `Bearer realm="${realm}", error="invalid_token"`;
