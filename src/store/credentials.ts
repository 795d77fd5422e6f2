/**
 * Credentials as the rest of the engine sees them: what a token or a client certificate proves, and whether it still does.
 *
 * Flow: control, edge and api hand in proofs and get a Principal; engine.ts asks `activity` twice a second and ends what lives by
 * credentials that are over; the command line makes, rotates and revokes (credential-desk.ts).
 * Invariant: no error, record or log line holds a token. A revocation, by this process or another, is seen by the next `verify`.
 * Limits: tokenCharsMax, tokenCacheMax, proofEndsMax, clockSkewMs.
 */
import { createSecretKey } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Principal } from '../base/principal.ts';
import { type Secret, sha256Hex } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { mayUseInQuery } from './claims.ts';
import { type CredentialDesk, createCredentialDesk } from './credential-desk.ts';
import type { CredentialEvent } from './credential-report.ts';
import { type CredentialRecord, createCredentialTable } from './credential-table.ts';
import type { Database } from './database.ts';
import { createKeyRing } from './key-ring.ts';
import { createTokenFamilies, principalFromProof, requireLive, unprovedClaims } from './token-families.ts';

export type { CredentialKind } from './credential-table.ts';
export type { CredentialEvent, CredentialRecord };

/** What {@link createCredentials} needs. */
export interface CredentialsNeeds {
  readonly database: Database;
  readonly clock: Clock;
  /** Named as issuer by the tokens that are made. */
  readonly engineHost: string;
  /** The operator's `auth.jwt.token_jwt_secret`; without it only the engine's own tokens are valid. */
  readonly jwtSecret?: Secret;
  /** Signs the engine's tokens in place of the key file beside the database. */
  readonly signingKey?: Secret;
  /** Told of everything that was done to credentials or failed; must not throw. */
  readonly onEvent?: (event: CredentialEvent) => void;
}

/** Makes, lists, revokes and verifies. */
export interface Credentials extends CredentialDesk {
  /** Throws TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED or BOUNDARIES_NOT_ENFORCED (protocol.md 0.1). */
  verify(token: string | undefined): Promise<Principal>;
  /** The principal of a token that `verify` remembers and that still holds, without cryptography and at once. */
  knownToken(token: string): Principal | undefined;
  /** As `verify`, for a token in a URL; throws TOKEN_IN_URL unless it is of those that may stand there (claims.ts). */
  verifyInQuery(token: string | undefined): Promise<Principal>;
  /**
   * Whom the owner of a certificate is, once TLS has proved that the peer owns it.
   * @param fingerprint SHA-256 of the leaf in lower-case hex
   * @throws CLIENT_CERTIFICATE_UNKNOWN, CLIENT_CERTIFICATE_EXPIRED, CLIENT_CERTIFICATE_REVOKED
   */
  verifyCertificate(fingerprint: string): Principal;
  /** Whether the proof still holds: neither revoked nor rotated nor expired. */
  isActive(principal: Principal): boolean;
  /** `isActive` as of now, for many at once: it looks for changes of other processes once, here. */
  activity(): (principal: Principal) => boolean;
  /** Calls after each change that this process made, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

// RFC 7515 section 7.1. Decoders overlook white space, so it is refused here.
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const CERTIFICATE_CODES = {
  revoked: () => fail('CLIENT_CERTIFICATE_REVOKED'),
  expired: () => fail('CLIENT_CERTIFICATE_EXPIRED'),
};

/** The credentials of one database. Throws STORE_UNAVAILABLE when its key file cannot be used. */
export const createCredentials = (needs: CredentialsNeeds): Credentials => {
  const { database, clock, jwtSecret } = needs;
  const table = createCredentialTable(needs);
  const keyRing = createKeyRing(needs);
  const sharedKey = jwtSecret && createSecretKey(jwtSecret.reveal(), 'utf8');
  const families = createTokenFamilies({ clock, table, keyRing, sharedKey });
  const remembered = createMemory(database);
  const listeners = new Set<() => void>();
  const onChange = () => {
    remembered.clear();
    for (const listener of [...listeners]) listener();
  };
  const desk = createCredentialDesk({ ...needs, table, keyRing, onChange });

  /** Milliseconds since 1970 until which the store lets the proof of a principal count. */
  const storedEndOf = ({ credentialId, kind, proof }: Principal): number => {
    // Of the operator's own tokens, and of what was minted from them, nothing is stored.
    if (proof === undefined) return kind === 'jwt' || (kind === 'auth' && sharedKey) ? Infinity : 0;
    const found = table.byHash(proof);
    if (found?.record.id !== credentialId || found.record.revokedAt !== undefined) return 0;
    return Math.min(found.record.expiresAt ?? Infinity, found.proof.validUntil ?? Infinity);
  };

  const activity = () => {
    remembered.follow();
    const nowMs = clock.now();
    return (principal: Principal) => {
      if (isExpired(principal, nowMs)) return false;
      return remembered.end(principal.proof ?? principal.kind, () => storedEndOf(principal)) > nowMs;
    };
  };

  const knownToken = (token: string): Principal | undefined => {
    if (token.length > LIMITS.tokenCharsMax) return undefined;
    const known = remembered.principal(sha256Hex(token));
    return known && !isExpired(known, clock.now()) ? known : undefined;
  };

  const verify = async (token: string | undefined): Promise<Principal> => {
    if (!token) throw fail('TOKEN_MISSING');
    if (token.length > LIMITS.tokenCharsMax || !COMPACT_JWS.test(token))
      throw fail('TOKEN_INVALID', { reason: 'shape' });
    const tokenHash = sha256Hex(token);
    const keep = (proved: Principal) => remembered.add(tokenHash, proved);
    const principal = remembered.principal(tokenHash) ?? (await families.prove(token, tokenHash, keep));
    if (isExpired(principal, clock.now())) throw fail('TOKEN_EXPIRED');
    return principal;
  };

  return {
    ...desk,
    verify,
    knownToken,
    async verifyInQuery(token) {
      const principal = await verify(token);
      if (!mayUseInQuery(unprovedClaims(token!))) throw fail('TOKEN_IN_URL');
      return principal;
    },
    verifyCertificate(fingerprint) {
      const known = remembered.principal(fingerprint);
      if (known && !isExpired(known, clock.now())) return known;
      const found = table.byHash(fingerprint);
      if (found?.record.kind !== 'certificate') throw fail('CLIENT_CERTIFICATE_UNKNOWN');
      const live = requireLive(found, clock.now(), CERTIFICATE_CODES);
      return remembered.add(fingerprint, principalFromProof('certificate', live));
    },
    isActive: (principal) => activity()(principal),
    activity,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};

/** Verified tokens by hash, certificates by fingerprint, and ends of proofs, the oldest leaving first, all forgotten when the store has changed. */
const createMemory = (database: Database) => {
  const principals = new Map<string, Principal>();
  const ends = new Map<string, number>();
  let dataVersion = database.dataVersion();
  const clear = () => {
    principals.clear();
    ends.clear();
  };
  const follow = () => {
    const current = database.dataVersion();
    if (current !== dataVersion) clear();
    dataVersion = current;
  };
  const keep = <Value>(map: Map<string, Value>, max: number, key: string, value: Value): Value => {
    if (map.size >= max) map.delete(map.keys().next().value!);
    map.set(key, value);
    return value;
  };
  return {
    clear,
    follow,
    principal(tokenHash: string): Principal | undefined {
      follow();
      return principals.get(tokenHash);
    },
    add: (tokenHash: string, principal: Principal) =>
      keep(principals, LIMITS.tokenCacheMax, tokenHash, principal),
    end: (proof: string, find: () => number) =>
      ends.get(proof) ?? keep(ends, LIMITS.proofEndsMax, proof, find()),
  };
};

// The engine's own tokens expire by its own clock; another issuer's clock may differ.
const isExpired = ({ kind, expiresAt = Number.POSITIVE_INFINITY }: Principal, nowMs: number): boolean =>
  nowMs >= expiresAt + (kind === 'jwt' ? LIMITS.clockSkewMs : 0);
