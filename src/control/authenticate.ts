/**
 * From what a peer says of itself to the principal that it proved to be, or a coded refusal.
 *
 * Invariant: a dial-back is not authenticated here: its token is the secret of the dial request (protocol.md 6.1).
 * Limits: tokenCharsMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Permission, type Principal, requirePermission } from '../base/principal.ts';
import type { ClientDetails } from '../wire/message.ts';

/** Provided by store/credentials.ts. Rejects with TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED or BOUNDARIES_NOT_ENFORCED. */
export type VerifyCredential = (token: string) => Promise<Principal>;

/** Throws TOKEN_MISSING, PERMISSION_MISSING, or what the verification throws. */
export const authenticate = async (
  { token }: ClientDetails,
  permission: Permission,
  verifyCredential: VerifyCredential,
): Promise<Principal> => {
  if (!token) throw fail('TOKEN_MISSING');
  if (token.length > LIMITS.tokenCharsMax) throw fail('TOKEN_INVALID');
  const principal = await verifyCredential(token);
  requirePermission(principal, permission);
  return principal;
};
