import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Secret, sha256Hex } from '../../src/base/secret.ts';

const TEXT = 'correct-horse-battery-staple';

describe('a secret', () => {
  const secret = new Secret(TEXT);

  test('gives its text only to who asks for it', () => assert.equal(secret.reveal(), TEXT));

  test('shows as *** wherever it may end up by accident', () => {
    const shown = [
      `${secret}`,
      String(secret),
      JSON.stringify(secret),
      JSON.stringify({ nested: [secret] }),
      inspect(secret),
      inspect({ nested: { secret } }, { depth: 9, showHidden: true }),
      Object.values(secret).join(),
      new Error(`broke with ${secret}`).message,
    ];
    for (const text of shown) assert.ok(!text.includes(TEXT), text);
    assert.equal(`${secret}`, '***');
    assert.equal(inspect({ secret }), '{ secret: *** }');
  });

  test('equals its own text and no other, of whatever length', () => {
    assert.ok(secret.equals(TEXT));
    for (const other of ['', TEXT.slice(1), `${TEXT} `, TEXT.toUpperCase(), '***'])
      assert.ok(!secret.equals(other), other);
  });
});

test('sha256Hex is SHA-256 (FIPS 180-2, appendix B.1)', () => {
  assert.equal(sha256Hex('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
