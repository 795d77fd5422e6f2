/**
 * What the claims of a JWT allow (protocol.md 0.1 tokens, resources.tunnels and query tokens, 9.1, 9.2).
 *
 * Flow: token-families.ts has proved signature and times; this reads the rest.
 * Invariant: pure; never wider than the issuer meant: a restriction that the engine cannot enforce, or does not know, is a refusal.
 * Limits: resourceDepthMax, resourceNodesMax, shortTokenSecondsMax, appTokenAheadMs.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { PERMISSIONS, type Principal } from '../base/principal.ts';

/** The claims of a token, as parsed from JSON. */
export type Claims = Readonly<Record<string, unknown>>;

// The last instant that Date knows: an absurd `exp` must not break those who print it.
const DATE_MS_MAX = 8.64e15;

/**
 * Who a token over the shared secret proves.
 * @param tokenHash names the principal when no claim does
 */
export const principalFromClaims = (claims: Claims, tokenHash: string): Principal => {
  const { sub, userId, clientId, jti } = claims;
  // The first name that a re-minted token of the same subject keeps, so that it keeps its tunnels' names too.
  const subject = [sub, clientId, userId, jti, tokenHash].find(isName);
  return {
    credentialId: `jwt:${subject}`,
    kind: 'jwt',
    ...(isName(userId) && { userId }),
    permissions: permissionsFrom(claims),
    ...expiryFrom(claims),
  };
};

/** What a token claims to be allowed; null for everything. Throws TOKEN_INVALID or BOUNDARIES_NOT_ENFORCED. */
export const permissionsFrom = (claims: Claims): ReadonlySet<string> | null => {
  const granted = permissionsFromClaims(claims);
  return isListOnly(claims) ? listPermissions(granted) : granted;
};

/** When a token ends, as a part of its principal. */
export const expiryFrom = ({ exp }: Claims): Pick<Principal, 'expiresAt'> =>
  typeof exp === 'number' ? { expiresAt: Math.min(exp * 1_000, DATE_MS_MAX) } : {};

/** What both allow; null is everything. */
export const intersectionOf = (
  a: ReadonlySet<string> | null,
  b: ReadonlySet<string> | null,
): ReadonlySet<string> | null => {
  if (a === null || b === null) return a ?? b;
  return new Set([...a].filter((permission) => b.has(permission)));
};

/** Throws TOKEN_INVALID unless a token lives an hour at most, and was not issued in the future (protocol.md 9.1). */
export const checkShortLife = (claims: Claims, nowMs: number): void => {
  if (!isShortLived(claims)) throw fail('TOKEN_INVALID', { reason: 'lifetime' });
  if (Number(claims.iat) * 1_000 > nowMs + LIMITS.appTokenAheadMs)
    throw fail('TOKEN_INVALID', { reason: 'issued in the future' });
};

/**
 * Whether a token whose signature is proved may come in a URL, which ends up in logs and histories: an auth or app token that lives an
 * hour at most and can do nothing but list (protocol.md 0.1, query tokens). For the watch endpoints alone.
 */
export const mayUseInQuery = (claims: Claims): boolean => {
  const { type, permissions } = claims;
  if ((type !== 'auth' && type !== 'app') || !isShortLived(claims)) return false;
  const isReadOnly = Array.isArray(permissions) && permissions.length === 1;
  if (permissions !== null && !(isReadOnly && permissions[0] === PERMISSIONS.readResources)) return false;
  try {
    return isListOnly(claims);
  } catch {
    return false;
  }
};

const isShortLived = ({ iat, exp }: Claims): boolean =>
  typeof iat === 'number' && typeof exp === 'number' && exp > iat && exp - iat <= LIMITS.shortTokenSecondsMax;

/** Whether a claim is a text with something in it. */
export const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

const permissionsFromClaims = ({ permissions }: Claims): ReadonlySet<string> | null => {
  if (permissions === undefined || permissions === null) return null;
  if (!Array.isArray(permissions) || !permissions.every((entry) => typeof entry === 'string'))
    throw fail('TOKEN_INVALID', { reason: 'permissions' });
  return new Set<string>(permissions);
};

// A resource tree that grants `list` grants nothing else, whatever the permissions say or leave out.
const listPermissions = (granted: ReadonlySet<string> | null): ReadonlySet<string> => {
  const { readResources } = PERMISSIONS;
  return new Set(granted === null || granted.has(readResources) ? [readResources] : []);
};

/** False without resources, true with list-only ones; everything else throws BOUNDARIES_NOT_ENFORCED. */
const isListOnly = ({ resources, tunnelsGrants }: Claims): boolean => {
  const trees = [treeFromResources(resources), tunnelsGrants].filter(isPresent);
  const budget = { nodeCount: LIMITS.resourceNodesMax };
  if (!trees.every((tree) => isListTree(tree, LIMITS.resourceDepthMax, budget)))
    throw fail('BOUNDARIES_NOT_ENFORCED');
  return trees.length > 0;
};

const treeFromResources = (resources: unknown): unknown => {
  if (!isPresent(resources)) return undefined;
  return hasOnly(resources, ['tunnels']) ? resources.tunnels : resources;
};

const isListTree = (node: unknown, depth: number, budget: { nodeCount: number }): boolean => {
  budget.nodeCount -= 1;
  if (depth === 0 || budget.nodeCount < 0) return false;
  if (!hasOnly(node, ['AND', 'OR'])) return isListLeaf(node);
  const branches = Object.values(node);
  return (
    branches.length === 1 &&
    Array.isArray(branches[0]) &&
    branches[0].length > 0 &&
    branches[0].every((branch) => isListTree(branch, depth - 1, budget))
  );
};

// Neither `workspaces`, `projects`, `create` nor `connect` pass, not even empty or false: only what is known to be harmless does.
const isListLeaf = (leaf: unknown): boolean => {
  if (!hasOnly(leaf, ['scopes']) || !hasOnly(leaf.scopes, ['tunnels'])) return false;
  const { tunnels } = leaf.scopes;
  if (!hasOnly(tunnels, ['list'])) return false;
  return tunnels.list === true || hasOnly(tunnels.list, ['filters', 'select']);
};

const isPresent = (value: unknown): boolean => value !== undefined && value !== null;

/** Whether the value is an object without keys other than these. */
const hasOnly = <Key extends string>(
  value: unknown,
  keys: readonly Key[],
): value is Partial<Record<Key, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.keys(value).every((key) => (keys as readonly string[]).includes(key));
