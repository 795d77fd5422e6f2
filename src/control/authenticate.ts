/**
 * From what a peer proves to the principal that it is, or a coded refusal.
 *
 * Invariant: one proof a connection: where a token and a client certificate come together, nobody can say which of them was meant. A
 * dial-back is not authenticated here: its token is the secret of the dial request (protocol.md 6.1).
 * Limits: tokenCharsMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Permission, type Principal, requirePermission } from '../base/principal.ts';
import type { ClientDetails } from '../wire/message.ts';
import type { AgentConnection } from './session-view.ts';

/** Provided by store/proofs.ts. */
export interface ProofVerifiers {
  /**
   * Rejects with TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED, BOUNDARIES_NOT_ENFORCED or AUTHENTICATION_THROTTLED.
   * @param address that it came from
   */
  readonly verifyCredential: (token: string, address: string) => Promise<Principal>;
  /**
   * @param fingerprint of a certificate whose key the peer has proved to have
   * @throws CLIENT_CERTIFICATE_UNKNOWN, CLIENT_CERTIFICATE_EXPIRED, CLIENT_CERTIFICATE_REVOKED or AUTHENTICATION_THROTTLED
   */
  readonly verifyCertificate: (fingerprint: string, address: string) => Principal;
}

/** Throws AMBIGUOUS_PROOF, TOKEN_MISSING, PERMISSION_MISSING, or what the verification throws. */
export const authenticate = async (
  { token }: ClientDetails,
  { certificateFingerprint, remoteAddress }: AgentConnection,
  permission: Permission,
  { verifyCredential, verifyCertificate }: ProofVerifiers,
): Promise<Principal> => {
  if (token && certificateFingerprint !== undefined) throw fail('AMBIGUOUS_PROOF');
  const principal =
    certificateFingerprint === undefined
      ? await verifyCredential(tokenFrom(token), remoteAddress)
      : verifyCertificate(certificateFingerprint, remoteAddress);
  requirePermission(principal, permission);
  return principal;
};

const tokenFrom = (token: string | undefined): string => {
  if (!token) throw fail('TOKEN_MISSING');
  if (token.length > LIMITS.tokenCharsMax) throw fail('TOKEN_INVALID');
  return token;
};
