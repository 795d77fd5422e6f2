import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  newAgentId,
  newCredentialId,
  newErrorId,
  newStreamId,
  newTunnelId,
  randomText,
} from '../../src/base/ids.ts';

const SHAPES = [
  [newAgentId, /^cli_[0-9a-hjkmnp-tv-z]{20}$/],
  [newTunnelId, /^tun_[0-9a-hjkmnp-tv-z]{20}$/],
  [newCredentialId, /^crd_[0-9a-hjkmnp-tv-z]{20}$/],
  [newErrorId, /^[0-9a-hjkmnp-tv-z]{8}$/],
  // Go clients parse it as hex (protocol.md 6.1).
  [newStreamId, /^[0-9a-f]{24}$/],
] as const;

for (const [newId, shape] of SHAPES)
  test(`${newId.name} makes ids of one shape, no two alike`, () => {
    const ids = Array.from({ length: 1_000 }, newId);
    for (const id of ids) assert.match(id, shape);
    assert.equal(new Set(ids).size, ids.length);
  });

test('random text has the length that is asked for and uses the whole alphabet', () => {
  assert.equal(randomText(0), '');
  const text = randomText(10_000);
  assert.equal(text.length, 10_000);
  assert.equal(new Set(text).size, 32);
});
