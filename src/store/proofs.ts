/**
 * Proofs that peers give over the network: the credentials behind the throttle of bad ones.
 *
 * Flow: control, edge and api hand in a proof and the address that it came from; credentials.ts verifies.
 * Invariant: what is known to be good is never refused for what others did from the same address; everything else is looked at only while
 * its source may be. A proof counts as bad if it never was good: who comes with an expired or revoked one is late, and does not guess.
 */
import { EngineError, type ErrorCode } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';
import type { ProofThrottle } from '../base/proof-throttle.ts';
import type { Credentials } from './credentials.ts';

export interface Proofs {
  /** The principal of a token that was verified before and still holds: no cryptography, some microseconds. */
  knownToken(token: string): Principal | undefined;
  /** As Credentials does; rejects with AUTHENTICATION_THROTTLED too. */
  verifyToken(token: string | undefined, address: string): Promise<Principal>;
  /** As Credentials' `verifyInQuery` does; rejects with AUTHENTICATION_THROTTLED too. */
  verifyQueryToken(token: string | undefined, address: string): Promise<Principal>;
  /** As Credentials does; throws AUTHENTICATION_THROTTLED too, in place of a refusal. */
  verifyCertificate(fingerprint: string, address: string): Principal;
}

const BAD: readonly ErrorCode[] = ['TOKEN_INVALID', 'CLIENT_CERTIFICATE_UNKNOWN'];

export interface ProofsNeeds {
  readonly credentials: Pick<Credentials, 'verify' | 'verifyInQuery' | 'knownToken' | 'verifyCertificate'>;
  readonly throttle: Pick<ProofThrottle, 'refusalOf' | 'countBad'>;
}

export const createProofs = ({ credentials, throttle }: ProofsNeeds): Proofs => {
  const count = (thrown: unknown, address: string) => {
    if (thrown instanceof EngineError && BAD.includes(thrown.code)) throttle.countBad(address);
  };
  const throttled = async (address: string, verify: () => Promise<Principal>): Promise<Principal> => {
    const refusal = throttle.refusalOf(address);
    if (refusal) throw refusal;
    try {
      return await verify();
    } catch (thrown) {
      count(thrown, address);
      throw thrown;
    }
  };
  const knownIn = (token: string | undefined) =>
    token === undefined ? undefined : credentials.knownToken(token);

  return {
    knownToken: credentials.knownToken,

    async verifyToken(token, address) {
      return knownIn(token) ?? throttled(address, () => credentials.verify(token));
    },

    verifyQueryToken(token, address) {
      const verify = () => credentials.verifyInQuery(token);
      return knownIn(token) ? verify() : throttled(address, verify);
    },

    // A look-up: the handshake has done the cryptography, so there is nothing to be spared by refusing first.
    verifyCertificate(fingerprint, address) {
      try {
        return credentials.verifyCertificate(fingerprint);
      } catch (thrown) {
        const refusal = throttle.refusalOf(address);
        count(thrown, address);
        throw refusal ?? thrown;
      }
    },
  };
};
