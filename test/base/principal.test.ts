import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PERMISSIONS, requirePermission } from '../../src/base/principal.ts';

const principal = (permissions: string[] | null) => ({
  credentialId: 'crd_1',
  kind: 'pat' as const,
  permissions: permissions && new Set(permissions),
});

test('no list of permissions is no restriction', () => {
  for (const permission of Object.values(PERMISSIONS)) requirePermission(principal(null), permission);
});

test('a list allows what it names and refuses the rest by name; an empty one refuses everything', () => {
  const reader = principal([PERMISSIONS.readResources]);
  requirePermission(reader, PERMISSIONS.readResources);
  assert.throws(() => requirePermission(reader, PERMISSIONS.manageTunnels), {
    code: 'PERMISSION_MISSING',
    message: 'The credential lacks the permission tunnels.tunnels.create-delete.',
  });
  assert.throws(() => requirePermission(principal([]), PERMISSIONS.readResources), {
    code: 'PERMISSION_MISSING',
  });
});
