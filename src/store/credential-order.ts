/**
 * What may be ordered: names, permissions and times of credentials that are to be made.
 *
 * Invariant: pure; every refusal is CREDENTIAL_INVALID and says what is wrong, never a secret.
 * Limits: credentialNameCharsMax, shortTokenSecondsMax, rotationGraceMsMax.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { ADMIN_PERMISSION, PERMISSIONS, type Principal } from '../base/principal.ts';
import { permissionsFrom } from './claims.ts';
import type { CredentialKind } from './credential-table.ts';

/** A credential to be made. */
export interface CredentialOrder {
  /** Unique among live credentials of its kind; 1 to 100 printable characters. */
  readonly name: string;
  /** Names of protocol.md 9.3; null for all, now and in future. */
  readonly permissions: readonly string[] | null;
  /** Milliseconds since 1970, cut to whole seconds; never when absent. */
  readonly expiresAt?: number;
}

/** A short-lived token to be made. */
export interface AuthTokenOrder {
  /** On whose behalf. */
  readonly source: Principal;
  /** All of the source's when null. */
  readonly permissions: readonly string[] | null;
  /** A tree that grants listing only (protocol.md 9.2); watchers in browsers need one. */
  readonly resources?: unknown;
  readonly expiresInSeconds: number;
}

/** How a proof is replaced. */
export interface RotationOrder {
  /** Milliseconds for which the old proof stays valid; it ends at once with 0. */
  readonly graceMs: number;
  /** A new end of the credential; it keeps its own when absent. */
  readonly expiresAt?: number;
}

const VALID_PERMISSIONS: readonly string[] = Object.values(PERMISSIONS);
const TOKEN_PERMISSIONS: readonly string[] = [...VALID_PERMISSIONS, ADMIN_PERMISSION];
// Letters, marks, digits, punctuation, symbols and inner spaces: nothing that is invisible or reorders a line.
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+(?: [\p{L}\p{M}\p{N}\p{P}\p{S}]+)*$/u;
// The last year that four digits can write.
const EXPIRES_AT_MAX = Date.UTC(9999, 11, 31);

const refuse = (problem: string): EngineError => fail('CREDENTIAL_INVALID', { problem });

/** @param kind only a personal access token may have the permission of the Admin API: the others may sign for themselves */
export const checkOrder = (
  kind: CredentialKind,
  { name, permissions, expiresAt }: CredentialOrder,
  nowMs: number,
): void => {
  if (!PRINTABLE.test(name) || [...name].length > LIMITS.credentialNameCharsMax)
    throw refuse(`the name must have 1 to ${LIMITS.credentialNameCharsMax} printable characters`);
  checkPermissions(permissions, kind === 'pat' ? TOKEN_PERMISSIONS : VALID_PERMISSIONS);
  checkExpiry(expiresAt, nowMs);
};

const checkPermissions = (permissions: readonly string[] | null, valid = VALID_PERMISSIONS): void => {
  if (permissions && !permissions.every((permission) => valid.includes(permission)))
    throw refuse(`a permission is unknown; those that exist are ${valid.join(', ')}`);
};

const checkExpiry = (expiresAt: number | undefined, nowMs: number): void => {
  if (expiresAt !== undefined && !(expiresAt >= nowMs + 1_000 && expiresAt <= EXPIRES_AT_MAX))
    throw refuse('the expiry must lie in the future');
};

export const checkRotation = ({ graceMs, expiresAt }: RotationOrder, nowMs: number): void => {
  if (!(graceMs >= 0 && graceMs <= LIMITS.rotationGraceMsMax))
    throw refuse(`the grace must be at most ${LIMITS.rotationGraceMsMax / 86_400_000} days`);
  checkExpiry(expiresAt, nowMs);
};

/**
 * The permissions of an auth token: those that were asked for, never more than its source has.
 * @throws CREDENTIAL_INVALID, and BOUNDARIES_NOT_ENFORCED for resources that grant more than listing
 */
export const authTokenPermissions = (order: AuthTokenOrder, nowMs: number): readonly string[] | null => {
  const { source, permissions, resources, expiresInSeconds } = order;
  const isLifeSound = Number.isInteger(expiresInSeconds) && expiresInSeconds >= 1;
  if (!isLifeSound || expiresInSeconds > LIMITS.shortTokenSecondsMax)
    throw refuse(`an auth token lives 1 to ${LIMITS.shortTokenSecondsMax} seconds`);
  if (nowMs + 1_000 > (source.expiresAt ?? Number.POSITIVE_INFINITY)) throw refuse('its source has expired');
  checkPermissions(permissions);
  permissionsFrom({ resources });
  const excess = permissions?.find((permission) => source.permissions?.has(permission) === false);
  if (excess !== undefined) throw refuse(`its source lacks the permission ${excess}`);
  const inherited = source.permissions && [...source.permissions].filter((each) => each !== ADMIN_PERMISSION);
  return permissions ?? inherited;
};
