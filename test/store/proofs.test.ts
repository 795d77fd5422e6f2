import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { Principal } from '../../src/base/principal.ts';
import { createProofThrottle } from '../../src/base/proof-throttle.ts';
import { createProofs } from '../../src/store/proofs.ts';
import { createFakeClock } from '../support/clock.ts';

const PRINCIPAL: Principal = { credentialId: 'crd_1', kind: 'pat', permissions: null };
const ADDRESS = '198.51.100.7';

/** Tokens that are called `good` and `known` are good; others are what their name says. */
const setUp = () => {
  let verifyCount = 0;
  const verify = async (token: string | undefined) => {
    verifyCount += 1;
    if (token !== 'good') throw fail(token as ErrorCode);
    return PRINCIPAL;
  };
  const verifyCertificate = (fingerprint: string) => {
    if (fingerprint !== 'good') throw fail(fingerprint as ErrorCode);
    return PRINCIPAL;
  };
  const knownToken = (token: string) => (token === 'known' ? PRINCIPAL : undefined);
  const clock = createFakeClock();
  const throttle = createProofThrottle({ clock, isExempt: () => false });
  const proofs = createProofs({
    credentials: { verify, verifyInQuery: verify, verifyCertificate, knownToken },
    throttle,
  });
  const exhaust = async () => {
    for (let count = 0; count < LIMITS.badProofsMax; count += 1)
      await assert.rejects(proofs.verifyToken('TOKEN_INVALID', ADDRESS), { code: 'TOKEN_INVALID' });
  };
  return { clock, proofs, exhaust, verifyCount: () => verifyCount };
};

test('a paused source is refused without a look at its proof, and nobody else is', async () => {
  const { clock, proofs, exhaust, verifyCount } = setUp();
  await exhaust();
  const before = verifyCount();
  for (const token of ['good', 'TOKEN_INVALID'])
    for (const verified of [proofs.verifyToken(token, ADDRESS), proofs.verifyQueryToken(token, ADDRESS)])
      await assert.rejects(verified, { code: 'AUTHENTICATION_THROTTLED' });
  assert.equal(verifyCount(), before);
  assert.equal(await proofs.verifyToken('good', '192.0.2.1'), PRINCIPAL);
  clock.advance(LIMITS.proofPauseMsMin);
  assert.equal(await proofs.verifyToken('good', ADDRESS), PRINCIPAL);
});

test('what is known to be good is never refused, and neither is a registered certificate', async () => {
  const { proofs, exhaust } = setUp();
  await exhaust();
  assert.equal(await proofs.verifyToken('known', ADDRESS), PRINCIPAL);
  assert.equal(proofs.verifyCertificate('good', ADDRESS), PRINCIPAL);
  assert.throws(() => proofs.verifyCertificate('CLIENT_CERTIFICATE_UNKNOWN', ADDRESS), {
    code: 'AUTHENTICATION_THROTTLED',
  });
});

test('a proof that was good once is no guess, and none at all is none', async () => {
  const { proofs } = setUp();
  for (let count = 0; count < 3 * LIMITS.badProofsMax; count += 1) {
    for (const code of ['TOKEN_EXPIRED', 'TOKEN_REVOKED', 'TOKEN_MISSING', 'BOUNDARIES_NOT_ENFORCED'])
      await assert.rejects(proofs.verifyToken(code, ADDRESS), { code });
    for (const code of ['CLIENT_CERTIFICATE_EXPIRED', 'CLIENT_CERTIFICATE_REVOKED'])
      assert.throws(() => proofs.verifyCertificate(code, ADDRESS), { code });
  }
});
