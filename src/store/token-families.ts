/**
 * Which keys and which one algorithm a token is checked with, and who it then proves (protocol.md 0.1 tokens, 9.1).
 *
 * Flow: credentials.ts asks for the family of a token it does not remember; `prove` verifies and answers with a principal.
 * Invariant: what is stored decides first (the hash of a token, the id of an application), then the `type` claim; the family fixes the
 * algorithm, and nothing in the token's header is believed: neither `alg`, `kid`, `jwk`, `jku` nor `x5c` choose a key. A principal of
 * ours is read from the record after the signature was proved, so that a revocation meanwhile is not overtaken.
 * Limits: clockSkewMs.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { decodeJwt, errors as joseErrors, jwtVerify } from 'jose';
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Principal } from '../base/principal.ts';
import type { Clock } from '../base/time.ts';
import {
  type Claims,
  checkShortLife,
  expiryFrom,
  intersectionOf,
  isName,
  permissionsFrom,
  principalFromClaims,
} from './claims.ts';
import type { CredentialTable, ProvenCredential } from './credential-table.ts';
import type { KeyRing } from './key-ring.ts';

export interface TokenFamiliesNeeds {
  readonly clock: Clock;
  readonly table: CredentialTable;
  readonly keyRing: KeyRing;
  /** The operator's; without it there are none but the engine's own tokens. */
  readonly sharedKey: KeyObject | undefined;
}

/** A key, and what it ends with. */
interface FamilyKey {
  readonly key: KeyObject;
  readonly validUntil?: number;
  /** The proof of the store that the key is. */
  readonly proof?: string;
}

interface Family {
  readonly algorithm: 'HS256' | 'ES512';
  readonly keys: readonly FamilyKey[];
  /** Reads the principal of claims whose signature is proved. */
  principal(claims: Claims, key: FamilyKey): Principal;
}

/** The earliest of several ends, as a part of a principal. */
export const endOf = (...ends: readonly (number | undefined)[]): Pick<Principal, 'expiresAt'> => {
  const known = ends.filter((end) => end !== undefined);
  return known.length > 0 ? { expiresAt: Math.min(...known) } : {};
};

/** Throws unless the credential and this proof of it are in force; what is not there counts as revoked. */
export const requireLive = (
  found: ProvenCredential | undefined,
  nowMs: number,
  codes: { readonly revoked: () => EngineError; readonly expired: () => EngineError },
): ProvenCredential => {
  const { record, proof } = found ?? {};
  if (!record || !proof || record.revokedAt !== undefined) throw codes.revoked();
  if (proof.validUntil !== undefined && proof.validUntil <= nowMs) throw codes.revoked();
  if (record.expiresAt !== undefined && record.expiresAt <= nowMs) throw codes.expired();
  return { record, proof };
};

const TOKEN_CODES = { revoked: () => fail('TOKEN_REVOKED'), expired: () => fail('TOKEN_EXPIRED') };

const setFrom = (permissions: readonly string[] | null) => permissions && new Set(permissions);

/** Who a stored proof proves, as far as its record says. */
export const principalFromProof = (
  kind: 'pat' | 'app' | 'certificate',
  { record, proof }: ProvenCredential,
): Principal => ({
  credentialId: record.id,
  kind,
  proof: proof.hash,
  permissions: setFrom(record.permissions),
  ...endOf(record.expiresAt, proof.validUntil),
});

export const createTokenFamilies = ({ clock, table, keyRing, sharedKey }: TokenFamiliesNeeds) => {
  const live = (found: ProvenCredential | undefined) => requireLive(found, clock.now(), TOKEN_CODES);

  const personal = (tokenHash: string): Family => ({
    algorithm: 'HS256',
    keys: keyRing.verifying(),
    principal(claims, { validUntil }) {
      const principal = principalFromProof('pat', live(table.byHash(tokenHash)));
      return { ...principal, ...endOf(principal.expiresAt, expiryFrom(claims).expiresAt, validUntil) };
    },
  });

  /** An auth token is its source, with fewer permissions and for a shorter time. */
  const minted = (sourceId: string): Family => ({
    algorithm: 'HS256',
    keys: keyRing.verifying(),
    principal(claims, { validUntil }) {
      checkShortLife(claims, clock.now());
      const source = sourceOf(sourceId, claims);
      const { userId } = claims;
      return {
        credentialId: sourceId,
        kind: 'auth',
        ...(source && { proof: source.proof.hash }),
        ...(isName(userId) && { userId }),
        permissions: intersectionOf(permissionsFrom(claims), setFrom(source?.record.permissions ?? null)),
        ...endOf(
          expiryFrom(claims).expiresAt,
          source?.record.expiresAt,
          source?.proof.validUntil,
          validUntil,
        ),
      };
    },
  });

  /** Undefined for a subject of the operator's own tokens, of which the store knows nothing. */
  const sourceOf = (sourceId: string, claims: Claims): ProvenCredential | undefined => {
    if (sourceId.startsWith('jwt:') && sharedKey) return undefined;
    const updatedAt = Date.parse(String(claims.sourceCredentialUpdatedAt));
    return live(table.proofsOf(sourceId).find(({ proof }) => proof.createdAt === updatedAt));
  };

  const application = (proofs: readonly ProvenCredential[]): Family => ({
    algorithm: 'ES512',
    keys: proofs.map(({ proof: { hash, publicKey } }) => ({
      key: createPublicKey({ key: publicKey!, format: 'der', type: 'spki' }),
      proof: hash,
    })),
    principal(claims, { proof }) {
      checkShortLife(claims, clock.now());
      const stored = principalFromProof('app', live(table.byHash(proof!)));
      return {
        ...stored,
        permissions: intersectionOf(permissionsFrom(claims), stored.permissions),
        ...endOf(stored.expiresAt, expiryFrom(claims).expiresAt! + LIMITS.clockSkewMs),
      };
    },
  });

  const operator = (key: KeyObject, tokenHash: string): Family => ({
    algorithm: 'HS256',
    keys: [{ key }],
    principal: (claims) => principalFromClaims(claims, tokenHash),
  });

  const familyOf = (token: string, tokenHash: string): Family => {
    if (table.byHash(tokenHash)?.record.kind === 'pat') return personal(tokenHash);
    const { type, sourceCredentialId, clientId } = unprovedClaims(token);
    if (type === 'auth' && isName(sourceCredentialId)) return minted(sourceCredentialId);
    if (type === 'app' && isName(clientId)) {
      const proofs = table.proofsOf(clientId).filter(({ record }) => record.kind === 'app');
      if (proofs.length > 0) return application(proofs);
    }
    if (!sharedKey) throw fail('TOKEN_INVALID', { reason: 'unknown' });
    return operator(sharedKey, tokenHash);
  };

  return {
    /**
     * Verifies a token and reads who it proves.
     * @param keep called with the principal before anyone else runs: what it remembers no revocation has overtaken
     * @throws TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED, BOUNDARIES_NOT_ENFORCED
     */
    async prove(
      token: string,
      tokenHash: string,
      keep: (principal: Principal) => Principal,
    ): Promise<Principal> {
      const family = familyOf(token, tokenHash);
      let refusal = fail('TOKEN_INVALID', { reason: 'no key' });
      for (const key of family.keys) {
        try {
          const claims = await claimsFrom(token, key.key, family.algorithm, clock.now());
          return keep(family.principal(claims, key));
        } catch (thrown) {
          if (!isWrongKey(thrown)) throw thrown;
          refusal = thrown;
        }
      }
      throw refusal;
    },
  };
};

const WRONG_KEY = 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED';

const isWrongKey = (thrown: unknown): thrown is EngineError =>
  (thrown as EngineError).details?.reason === WRONG_KEY;

/** For choosing the family, and for nothing else. */
export const unprovedClaims = (token: string): Claims => {
  try {
    return decodeJwt(token);
  } catch {
    throw fail('TOKEN_INVALID', { reason: 'unreadable' });
  }
};

const claimsFrom = async (
  token: string,
  key: KeyObject,
  algorithm: string,
  nowMs: number,
): Promise<Claims> => {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, key, {
      algorithms: [algorithm],
      clockTolerance: LIMITS.clockSkewMs / 1_000,
      currentDate: new Date(nowMs),
    });
    // `crit` names extensions that change what a token means (RFC 7515 section 4.1.11); the engine knows none.
    if (protectedHeader.crit === undefined) return payload;
  } catch (thrown) {
    if (thrown instanceof joseErrors.JWTExpired) throw fail('TOKEN_EXPIRED');
    // Not the error itself, which carries claims.
    const reason = thrown instanceof joseErrors.JOSEError ? thrown.code : 'unreadable';
    throw fail('TOKEN_INVALID', { reason });
  }
  throw fail('TOKEN_INVALID', { reason: 'crit' });
};
