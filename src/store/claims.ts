/**
 * What the claims of a JWT over the operator's shared secret allow (protocol.md 0.1 tokens and resources.tunnels, 9.1, 9.2).
 *
 * Flow: credentials.ts has proved signature and times; this reads the rest.
 * Invariant: pure; never wider than the issuer meant: a restriction that the engine cannot enforce, or does not know, is a refusal.
 * Limits: resourceDepthMax, resourceNodesMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { PERMISSIONS, type Principal } from '../base/principal.ts';

/** The claims of a token, as parsed from JSON. */
export type Claims = Readonly<Record<string, unknown>>;

// The last instant that Date knows: an absurd `exp` must not break those who print it.
const DATE_MS_MAX = 8.64e15;

/**
 * Who the token proves.
 * @param tokenHash names the principal when no claim does
 */
export const principalFromClaims = (claims: Claims, tokenHash: string): Principal => {
  const granted = permissionsFromClaims(claims);
  const { exp, sub, userId, clientId, jti } = claims;
  // The first name that a re-minted token of the same subject keeps, so that it keeps its tunnels' names too.
  const subject = [sub, clientId, userId, jti, tokenHash].find(isName);
  return {
    credentialId: `jwt:${subject}`,
    kind: 'jwt',
    ...(isName(userId) && { userId }),
    permissions: isListOnly(claims) ? listPermissions(granted) : granted,
    ...(typeof exp === 'number' && { expiresAt: Math.min(exp * 1_000, DATE_MS_MAX) }),
  };
};

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

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
