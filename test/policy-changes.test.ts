/** What differs between two policies, in words that the audit log takes whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../src/base/limits.ts';
import { policyChanges } from '../src/policy-changes.ts';

test('only what differs is told: lists by what came and went, others by before and after', () => {
  const before = { allow_any: false, trusted_ips: ['10.0.0.0/8', '192.0.2.1'], geoip: ['FR'] };
  const after = {
    allow_any: true,
    trusted_ips: ['192.0.2.1', '::1'],
    geoip: ['FR'],
    tls_min_version: 'tls1.3',
  };
  assert.deepEqual(policyChanges(before, after), [
    { key: 'policy.allow_any', change: 'false -> true' },
    { key: 'policy.trusted_ips', change: '+::1 -10.0.0.0/8' },
    { key: 'policy.tls_min_version', change: 'unset -> tls1.3' },
  ]);
});

test('a long list makes several texts, none of them cut', () => {
  const ranges = Array.from({ length: 100 }, (_, index) => `192.0.2.${index}/32`);
  const changes = policyChanges({ trusted_ips: [] }, { trusted_ips: ranges });
  assert.ok(changes.length > 1);
  assert.ok(changes.every(({ change }) => change.length <= LIMITS.auditTextCharsMax));
  const words = changes.flatMap(({ change }) => change.split(' '));
  assert.deepEqual(
    words,
    ranges.map((range) => `+${range}`),
  );
});
