import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { createAuthority, issueClientIdentity } from '../../src/store/authority.ts';
import { createFakeClock } from '../support/clock.ts';

const DAY_MS = 86_400_000;

const issue = async (name: string) => {
  const clock = createFakeClock();
  const authority = await createAuthority({ host: 'localhost', clock });
  return { authority, clock, ...(await issueClientIdentity(authority, { name, days: 30, clock })) };
};

describe('a client identity', () => {
  test('is for clients, by the authority, for as long as was asked', async () => {
    const { authority, clientCertificate, clientKey, clock } = await issue('laptop of alice');
    const certificate = new X509Certificate(clientCertificate);
    assert.equal(certificate.subject, 'CN=laptop of alice');
    assert.ok(certificate.verify(new X509Certificate(authority.caCertificate).publicKey));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(clientKey)));
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.equal(certificate.ca, false);
    assert.ok(Math.abs(Date.parse(certificate.validTo) - clock.now() - 30 * DAY_MS) < DAY_MS);
  });

  for (const name of ['laptop', 'Ünïcode 机器', 'x'.repeat(100)])
    test(`comes as an archive that OpenSSL opens with its password: ${name.slice(0, 12)}`, async () => {
      const { archive, archivePassword, clientKey } = await issue(name);
      createSecureContext({ pfx: archive, passphrase: archivePassword.reveal() });
      assert.match(archivePassword.reveal(), /^\w{20}$/);
      const key = createPrivateKey(clientKey).export({ type: 'pkcs8', format: 'der' });
      assert.equal(archive.includes(key.subarray(-32)), false, 'the key is encrypted');
    });

  test('has an archive that opens with no other password, and not when it was changed', async () => {
    const { archive, archivePassword } = await issue('laptop');
    for (const passphrase of ['', 'wrong', `${archivePassword.reveal()} `])
      assert.throws(() => createSecureContext({ pfx: archive, passphrase }), /mac verify failure/);
    const changed = Buffer.from(archive);
    changed[changed.length >> 1]! ^= 1;
    assert.throws(() => createSecureContext({ pfx: changed, passphrase: archivePassword.reveal() }));
  });
});
