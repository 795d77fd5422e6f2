/**
 * Credentials: tokens that this engine issues, revokes and verifies, and JWTs over the operator's shared secret that it verifies.
 *
 * Flow: control, edge and api hand a token to `verify` and get a Principal; live sessions ask `isActive` now and then.
 * Invariant: the stored hash alone decides which key a token is checked with; the algorithm is HS256, whatever the token says; no
 * error, record or log line holds a token. A revocation, by this process or another, is seen by the next `verify`.
 * Limits: tokenCharsMax, tokenCacheMax, clockSkewMs, credentialNameCharsMax.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import { fail } from '../base/errors.ts';
import { newCredentialId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { PERMISSIONS, type Principal } from '../base/principal.ts';
import { type Secret, sha256Hex } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { type Claims, principalFromClaims } from './claims.ts';
import { type CredentialRecord, createCredentialTable } from './credential-table.ts';
import type { Database } from './database.ts';

export type { CredentialRecord };

/** A token to be made. */
export interface TokenOrder {
  /** Unique among live tokens; 1 to 100 printable characters. */
  readonly name: string;
  /** Names of protocol.md 9.3; null for all, now and in future. */
  readonly permissions: readonly string[] | null;
  /** Milliseconds since 1970, cut to whole seconds; never when absent. */
  readonly expiresAt?: number;
}

/** What {@link createCredentials} needs. */
export interface CredentialsNeeds {
  readonly database: Database;
  readonly clock: Clock;
  /** Named as issuer by the tokens that are made. */
  readonly engineHost: string;
  /** The operator's `auth.jwt.token_jwt_secret`; without it only the engine's own tokens are valid. */
  readonly jwtSecret?: Secret;
}

/** Makes, lists, revokes and verifies. */
export interface Credentials {
  /** Throws CREDENTIAL_INVALID. The token is not kept: whoever loses it needs a new one. */
  createToken(order: TokenOrder): Promise<{ record: CredentialRecord; token: string }>;
  /** Oldest first, revoked and expired ones included. */
  listTokens(): CredentialRecord[];
  /** Takes an id, or the name of a live token; revoking twice changes nothing. Throws CREDENTIAL_NOT_FOUND. */
  revokeToken(idOrName: string): CredentialRecord;
  /** Throws TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED or BOUNDARIES_NOT_ENFORCED (protocol.md 0.1). */
  verify(token: string | undefined): Promise<Principal>;
  /** Whether the proof still holds: neither revoked nor expired. One indexed look into the store at most. */
  isActive(principal: Principal): boolean;
}

const ALGORITHM = 'HS256';
// RFC 7515 section 7.1. Decoders overlook white space, so it is refused here.
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const VALID_PERMISSIONS: readonly string[] = Object.values(PERMISSIONS);
// Letters, marks, digits, punctuation, symbols and inner spaces: nothing that is invisible or reorders a line.
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+(?: [\p{L}\p{M}\p{N}\p{P}\p{S}]+)*$/u;
// The last year that four digits can write.
const EXPIRES_AT_MAX = Date.UTC(9999, 11, 31);

/** The credentials of one database. */
export const createCredentials = ({
  database,
  clock,
  engineHost,
  jwtSecret,
}: CredentialsNeeds): Credentials => {
  const table = createCredentialTable({ database, clock });
  const engineKey = table.signingKey();
  const sharedKey = jwtSecret && createSecretKey(jwtSecret.reveal(), 'utf8');
  const remembered = createTokenCache(database);

  const verifyUnknown = async (token: string, tokenHash: string): Promise<Principal> => {
    const key = table.byHash(tokenHash) ? engineKey : sharedKey;
    if (!key) throw fail('TOKEN_INVALID', { reason: 'unknown' });
    const claims = await claimsFromToken(token, key, clock.now());
    if (key !== engineKey) return remembered.add(tokenHash, principalFromClaims(claims, tokenHash));
    // Read again, and remembered before anyone else runs: a revocation meanwhile must not be overtaken.
    const record = table.byHash(tokenHash);
    if (!record || record.revokedAt !== undefined) throw fail('TOKEN_REVOKED');
    return remembered.add(tokenHash, principalFromRecord(record));
  };

  return {
    async createToken(order) {
      checkOrder(order, clock.now());
      const id = newCredentialId();
      const issuedAtSeconds = Math.floor(clock.now() / 1_000);
      const expiresAtSeconds = order.expiresAt && Math.floor(order.expiresAt / 1_000);
      const record: CredentialRecord = {
        id,
        name: order.name,
        permissions: order.permissions && [...new Set(order.permissions)],
        createdAt: clock.now(),
        ...(expiresAtSeconds && { expiresAt: expiresAtSeconds * 1_000 }),
      };
      // No permissions claim: the record decides (protocol.md 9.1).
      const draft = new SignJWT({ type: 'pat' })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
        .setIssuer(engineHost)
        .setJti(id)
        .setIssuedAt(issuedAtSeconds);
      if (expiresAtSeconds) draft.setExpirationTime(expiresAtSeconds);
      const token = await draft.sign(engineKey);
      if (!table.insert(record, sha256Hex(token)))
        throw fail('CREDENTIAL_INVALID', { problem: `another live token has the name "${order.name}"` });
      return { record, token };
    },

    listTokens: () => table.all(),

    revokeToken(idOrName) {
      const record = table.revoke(idOrName);
      remembered.clear();
      // Who pastes the token itself must not find it in the answer.
      if (!record)
        throw fail('CREDENTIAL_NOT_FOUND', {
          id: idOrName.slice(0, 40) + (idOrName.length > 40 ? '...' : ''),
        });
      return record;
    },

    async verify(token) {
      if (!token) throw fail('TOKEN_MISSING');
      if (token.length > LIMITS.tokenCharsMax || !COMPACT_JWS.test(token))
        throw fail('TOKEN_INVALID', { reason: 'shape' });
      const tokenHash = sha256Hex(token);
      const principal = remembered.get(tokenHash) ?? (await verifyUnknown(token, tokenHash));
      if (isExpired(principal, clock.now())) throw fail('TOKEN_EXPIRED');
      return principal;
    },

    isActive(principal) {
      if (isExpired(principal, clock.now())) return false;
      if (principal.kind === 'jwt') return true;
      const record = table.byId(principal.credentialId);
      return record !== undefined && record.revokedAt === undefined;
    },
  };
};

/** Verified tokens by hash, the oldest leaving first, all forgotten when another process changes the store. */
const createTokenCache = (database: Database) => {
  const principals = new Map<string, Principal>();
  let dataVersion = database.dataVersion();
  return {
    get(tokenHash: string): Principal | undefined {
      const current = database.dataVersion();
      if (current !== dataVersion) principals.clear();
      dataVersion = current;
      return principals.get(tokenHash);
    },
    add(tokenHash: string, principal: Principal): Principal {
      if (principals.size >= LIMITS.tokenCacheMax) principals.delete(principals.keys().next().value!);
      principals.set(tokenHash, principal);
      return principal;
    },
    clear: () => principals.clear(),
  };
};

const claimsFromToken = async (token: string, key: KeyObject, nowMs: number): Promise<Claims> => {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
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

const principalFromRecord = ({ id, permissions, expiresAt }: CredentialRecord): Principal => ({
  credentialId: id,
  kind: 'pat',
  permissions: permissions && new Set(permissions),
  ...(expiresAt !== undefined && { expiresAt }),
});

// The engine's own tokens expire by its own clock; another issuer's clock may differ.
const isExpired = ({ kind, expiresAt = Number.POSITIVE_INFINITY }: Principal, nowMs: number): boolean =>
  nowMs >= expiresAt + (kind === 'jwt' ? LIMITS.clockSkewMs : 0);

const checkOrder = ({ name, permissions, expiresAt }: TokenOrder, nowMs: number): void => {
  const refuse = (problem: string) => fail('CREDENTIAL_INVALID', { problem });
  if (!PRINTABLE.test(name) || [...name].length > LIMITS.credentialNameCharsMax)
    throw refuse(`the name must have 1 to ${LIMITS.credentialNameCharsMax} printable characters`);
  if (permissions && !permissions.every((permission) => VALID_PERMISSIONS.includes(permission)))
    throw refuse(`a permission is unknown; those that exist are ${VALID_PERMISSIONS.join(', ')}`);
  if (expiresAt !== undefined && !(expiresAt >= nowMs + 1_000 && expiresAt <= EXPIRES_AT_MAX))
    throw refuse('the expiry must lie in the future');
};
