import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { mayUseInQuery, principalFromClaims } from '../../src/store/claims.ts';

const HASH = 'a'.repeat(64);
const LIST = { scopes: { tunnels: { list: true } } };
const { readResources, manageTunnels, manageStreams } = PERMISSIONS;

const permissionsOf = (claims: Record<string, unknown>) => {
  const { permissions } = principalFromClaims(claims, HASH);
  return permissions && [...permissions];
};
const nest = (depth: number): unknown => (depth === 1 ? LIST : { AND: [nest(depth - 1)] });

describe('the permissions of a shared-secret token', () => {
  test('are all when the claim is absent or null', () => {
    assert.equal(permissionsOf({}), null);
    assert.equal(permissionsOf({ permissions: null }), null);
  });

  test('are those of the claim, known to the engine or not', () => {
    assert.deepEqual(permissionsOf({ permissions: [manageTunnels, 'webtty.logs.read-only'] }), [
      manageTunnels,
      'webtty.logs.read-only',
    ]);
    assert.deepEqual(permissionsOf({ permissions: [] }), []);
  });

  for (const permissions of ['all', true, 1, {}, [1], [null], [[manageTunnels]]])
    test(`make the token invalid as ${JSON.stringify(permissions)}`, () => {
      assert.throws(() => permissionsOf({ permissions }), { code: 'TOKEN_INVALID' });
    });
});

describe('the principal of a shared-secret token', () => {
  test('is named by the first claim that names a subject, so that a new token keeps its names', () => {
    const all = { sub: 's', clientId: 'c', userId: 'u', jti: 'j' };
    const idOf = (claims: object) => principalFromClaims({ ...claims }, HASH).credentialId;
    assert.equal(idOf(all), 'jwt:s');
    assert.equal(idOf({ ...all, sub: undefined }), 'jwt:c');
    assert.equal(idOf({ ...all, sub: '', clientId: 7 }), 'jwt:u');
    assert.equal(idOf({ jti: 'j' }), 'jwt:j');
    assert.equal(idOf({}), `jwt:${HASH}`);
  });

  test('carries user and expiry where the token does', () => {
    const { userId, expiresAt } = principalFromClaims({ userId: 'u', exp: 1_800_000_000 }, HASH);
    assert.deepEqual([userId, expiresAt], ['u', 1_800_000_000_000]);
    assert.deepEqual(Object.keys(principalFromClaims({}, HASH)), ['credentialId', 'kind', 'permissions']);
  });

  test('has an expiry that can be printed, however absurd the claim', () => {
    assert.doesNotThrow(() => new Date(principalFromClaims({ exp: 1e300 }, HASH).expiresAt!).toISOString());
  });
});

describe('boundaries', () => {
  const accepted: [string, Record<string, unknown>][] = [
    ['list: true', { resources: { tunnels: LIST } }],
    [
      'list with filters and select',
      { resources: { tunnels: { scopes: { tunnels: { list: { filters: {}, select: {} } } } } } },
    ],
    ['AND of lists', { resources: { tunnels: { AND: [LIST, LIST] } } }],
    ['OR of lists', { resources: { tunnels: { OR: [LIST, { AND: [LIST] }] } } }],
    ['the older claim', { tunnelsGrants: LIST }],
    ['the greatest depth', { resources: { tunnels: nest(LIMITS.resourceDepthMax) } }],
    ['the most nodes', { resources: { tunnels: { OR: new Array(LIMITS.resourceNodesMax - 1).fill(LIST) } } }],
  ];
  for (const [name, claims] of accepted)
    test(`that only list pass and leave nothing but reading: ${name}`, () => {
      assert.deepEqual(permissionsOf(claims), [readResources]);
      assert.deepEqual(permissionsOf({ ...claims, permissions: [readResources, manageTunnels] }), [
        readResources,
      ]);
      assert.deepEqual(permissionsOf({ ...claims, permissions: [manageTunnels, manageStreams] }), []);
    });

  for (const claims of [
    { resources: {} },
    { resources: null },
    { resources: { tunnels: null } },
    { tunnelsGrants: null },
  ])
    test(`are absent in ${JSON.stringify(claims)}`, () => assert.equal(permissionsOf(claims), null));

  const leaf = (scope: unknown) => ({ resources: { tunnels: { scopes: { tunnels: scope } } } });
  const refused: [string, Record<string, unknown>][] = [
    ['create', leaf({ create: true })],
    ['create: false', leaf({ create: false, list: true })],
    ['create with filters', leaf({ create: { filters: { name: 'x' } } })],
    ['connect', leaf({ connect: true, list: true })],
    ['connect with a path', leaf({ connect: { params: { path: '/a' } } })],
    ['a path beside list', leaf({ list: { params: { path: '/a' } } })],
    ['no scope at all', leaf({})],
    ['list: false', leaf({ list: false })],
    ['list of an unknown shape', leaf({ list: 'all' })],
    ['scope null', leaf(null)],
    [
      'another kind of scope',
      { resources: { tunnels: { scopes: { tunnels: { list: true }, webtty: {} } } } },
    ],
    ['projects', { resources: { tunnels: { ...LIST, projects: ['p'] } } }],
    ['projects, empty', { resources: { tunnels: { ...LIST, projects: [] } } }],
    ['workspaces', { resources: { tunnels: { ...LIST, workspaces: ['w'] } } }],
    ['only workspaces', { resources: { tunnels: { workspaces: ['w'] } } }],
    ['an empty tree', { resources: { tunnels: {} } }],
    ['an empty AND', { resources: { tunnels: { AND: [] } } }],
    ['AND and OR at once', { resources: { tunnels: { AND: [LIST], OR: [LIST] } } }],
    ['AND beside a leaf', { resources: { tunnels: { AND: [LIST], ...LIST } } }],
    ['AND that is no list', { resources: { tunnels: { AND: LIST } } }],
    [
      'one branch that creates',
      { resources: { tunnels: { OR: [LIST, leaf({ create: true }).resources.tunnels] } } },
    ],
    ['an array for a tree', { resources: { tunnels: [LIST] } }],
    ['a text for a tree', { resources: { tunnels: 'all' } }],
    ['a text for resources', { resources: 'all' }],
    ['another resource', { resources: { tunnels: LIST, hosts: {} } }],
    ['only another resource', { resources: { hosts: {} } }],
    ['the older claim with create', { tunnelsGrants: { scopes: { tunnels: { create: true } } } }],
    ['the older claim beside resources', { resources: { tunnels: LIST }, tunnelsGrants: [] }],
    [
      'a __proto__ key',
      { resources: JSON.parse('{"tunnels":{"scopes":{"tunnels":{"list":true}},"__proto__":{}}}') },
    ],
    ['one level too deep', { resources: { tunnels: nest(LIMITS.resourceDepthMax + 1) } }],
    ['one node too many', { resources: { tunnels: { OR: new Array(LIMITS.resourceNodesMax).fill(LIST) } } }],
  ];
  for (const [name, claims] of refused)
    test(`that cannot be enforced are refused: ${name}`, () => {
      assert.throws(() => permissionsOf(claims), { code: 'BOUNDARIES_NOT_ENFORCED' });
      assert.throws(() => permissionsOf({ ...claims, permissions: [readResources] }), {
        code: 'BOUNDARIES_NOT_ENFORCED',
      });
    });
});

describe('a token in a URL', () => {
  const resources = { tunnels: LIST };
  const good = { type: 'auth', permissions: [readResources], resources, iat: 1_000, exp: 4_600 };
  for (const claims of [
    good,
    { ...good, type: 'app' },
    { ...good, permissions: null },
    { ...good, exp: 1_001 },
  ])
    test(`is taken: ${JSON.stringify(claims).slice(0, 60)}`, () => assert.equal(mayUseInQuery(claims), true));

  const bad: [string, Record<string, unknown>][] = [
    ['a personal access token', { ...good, type: 'pat' }],
    ['no type', { ...good, type: undefined }],
    ['a longer life', { ...good, exp: 4_601 }],
    ['no life', { ...good, exp: 1_000 }],
    ['no expiry', { ...good, exp: undefined }],
    ['no time of issue', { ...good, iat: undefined }],
    ['another permission', { ...good, permissions: [manageTunnels] }],
    ['one permission more', { ...good, permissions: [readResources, manageStreams] }],
    ['no permission', { ...good, permissions: [] }],
    ['the permission twice', { ...good, permissions: [readResources, readResources] }],
    ['no permissions claim', { ...good, permissions: undefined }],
    ['no resources', { ...good, resources: undefined }],
    ['resources that create', { ...good, resources: { tunnels: { scopes: { tunnels: { create: true } } } } }],
    ['resources with projects', { ...good, resources: { tunnels: { ...LIST, projects: ['p'] } } }],
  ];
  for (const [name, claims] of bad)
    test(`is refused: ${name}`, () => assert.equal(mayUseInQuery(claims), false));
});
