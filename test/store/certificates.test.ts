/** Client certificates as credentials: known by the SHA-256 of the leaf, and by nothing that a certificate says of itself. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { createTestPair } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { openTestDatabase } from '../support/store.ts';

const DAY_MS = 86_400_000;

test('a certificate proves its record until it, or its record, expires', async (t) => {
  const clock = createFakeClock(Date.now());
  const credentials = createCredentials({ database: openTestDatabase(t), clock, engineHost: 'localhost' });
  const permissions = [PERMISSIONS.manageTunnels];
  const endOf = (days: number) => new Date(clock.now() + days * DAY_MS);
  for (const [name, days, expiresAt] of [
    ['ends with the certificate', 10, undefined],
    ['ends before it', 20, endOf(10).getTime()],
    ['cannot outlive it', 10, endOf(30).getTime()],
  ] as const) {
    const { cert } = await createTestPair(name, { notAfterDate: endOf(days) });
    const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
    const record = credentials.addCertificate({
      name,
      permissions,
      pem: cert,
      ...(expiresAt !== undefined && { expiresAt }),
    });
    const principal = credentials.verifyCertificate(fingerprint);
    assert.deepEqual(principal, {
      credentialId: record.id,
      kind: 'certificate',
      proof: fingerprint,
      permissions: new Set(permissions),
      expiresAt: record.expiresAt,
    });
    assert.ok(Math.abs(record.expiresAt! - endOf(10).getTime()) < 2_000, name);
    assert.ok(credentials.isActive(principal));
  }
  const all = credentials.list('certificate').map(({ id }) => credentials.show('certificate', id).proofs[0]!);
  clock.advance(10 * DAY_MS + 2_000);
  for (const fingerprint of all)
    assert.throws(() => credentials.verifyCertificate(fingerprint), { code: 'CLIENT_CERTIFICATE_EXPIRED' });
});

test('a fingerprint that is unknown, or the hash of another kind of proof, proves nothing', async (t) => {
  const clock = createFakeClock();
  const credentials = createCredentials({ database: openTestDatabase(t), clock, engineHost: 'localhost' });
  await credentials.createToken({ name: 'ci', permissions: null });
  const [tokenHash] = credentials.show('pat', 'ci').proofs;
  for (const fingerprint of ['', '0'.repeat(64), tokenHash!])
    assert.throws(() => credentials.verifyCertificate(fingerprint), { code: 'CLIENT_CERTIFICATE_UNKNOWN' });
});
