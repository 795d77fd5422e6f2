import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { createClock } from '../../src/base/time.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { testCertificates } from '../support/certificates.ts';
import { setUpStore } from './store-room.ts';

const setUp = async (t: TestContext) => {
  const room = setUpStore(t, 'cert');
  const { caCertificate, caKey } = await createAuthority({ host: 'localhost', clock: createClock() });
  writeFileSync(join(room.directory, 'ca.pem'), caCertificate);
  writeFileSync(join(room.directory, 'ca-key.pem'), caKey, { mode: 0o600 });
  return { ...room, out: join(room.directory, 'clients') };
};

const fingerprintOf = (pem: string) =>
  new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

describe('cert issue-client', () => {
  test('writes key, certificate and archive, and registers the certificate', async (t) => {
    const { run, out, openEngine } = await setUp(t);
    const { readResources } = PERMISSIONS;
    const flags = ['--name', 'laptop', '--days', '30', '--out', out, '--permission', readResources];
    const { printed, told } = await run(['issue-client', ...flags]);
    const modes = readdirSync(out).map((name) => [
      name,
      (statSync(join(out, name)).mode & 0o777).toString(8),
    ]);
    assert.deepEqual(Object.fromEntries(modes), {
      'laptop-key.pem': '600',
      'laptop.p12': '600',
      'laptop.pem': '644',
    });
    assert.equal(printed.length, 1, 'the password of the archive');
    createSecureContext({ pfx: readFileSync(join(out, 'laptop.p12')), passphrase: printed[0]! });
    assert.match(
      told.join('\n'),
      /^Made and registered "laptop" \(crd_\w+; tunnels\.resources\.read-only; expires /,
    );

    const pem = readFileSync(join(out, 'laptop.pem'), 'utf8');
    const principal = openEngine().verifyCertificate(fingerprintOf(pem));
    assert.equal(principal.kind, 'certificate');
    assert.deepEqual(principal.permissions, new Set([readResources]));
    assert.equal(principal.expiresAt, Date.parse(new X509Certificate(pem).validTo));
  });

  test('leaves the private key in no database', async (t) => {
    const { run, out, directory } = await setUp(t);
    await run(['issue-client', '--name', 'laptop', '--out', out]);
    const lines = readFileSync(join(out, 'laptop-key.pem'), 'utf8').split('\n').slice(1, -2);
    for (const file of readdirSync(directory).filter((name) => /\.(db|signing-key)/.test(name)))
      for (const line of lines) assert.equal(readFileSync(join(directory, file)).includes(line), false, file);
  });

  for (const [name, file] of [
    ['../../etc/passwd', 'etc-passwd.pem'],
    ['a b/c', 'a-b-c.pem'],
    ['.hidden', 'hidden.pem'],
    ['...', 'client.pem'],
  ] as const)
    test(`keeps the files of ${name} where they belong`, async (t) => {
      const { run, out } = await setUp(t);
      await run(['issue-client', '--name', name, '--out', out]);
      assert.ok(existsSync(join(out, file)));
    });

  test('overwrites nothing, and registers nothing then', async (t) => {
    const { run, out, openEngine } = await setUp(t);
    await run(['issue-client', '--name', 'a b', '--out', out]);
    await assert.rejects(run(['issue-client', '--name', 'a/b', '--out', out]), {
      code: 'USAGE',
      message: /exists already/,
    });
    const states = openEngine()
      .list('certificate')
      .map(({ name, revokedAt }) => [name, revokedAt === undefined]);
    assert.deepEqual(states.sort(), [
      ['a b', true],
      ['a/b', false],
    ]);
  });

  test('says what is missing where there is no local CA', async (t) => {
    const { run, out } = setUpStore(t, 'cert') as ReturnType<typeof setUpStore> & { out?: string };
    await assert.rejects(run(['issue-client', '--name', 'x', '--out', out ?? '.']), {
      code: 'USAGE',
      message: /--ca-cert .*ca\.pem cannot be read \(ENOENT\)/,
    });
  });

  for (const days of ['0', '3651', '1.5', 'x'])
    test(`refuses --days ${days}`, async (t) => {
      const { run } = await setUp(t);
      await assert.rejects(run(['issue-client', '--name', 'x', '--days', days]), { code: 'USAGE' });
    });
});

describe('cert add', () => {
  test('registers a certificate once, whoever signed it', async (t) => {
    const { run, openEngine } = await setUp(t);
    const { cert, certFile } = await testCertificates();
    await run(['add', '--name', 'phone', '--file', certFile]);
    const engine = openEngine();
    assert.equal(engine.verifyCertificate(fingerprintOf(cert)).kind, 'certificate');
    await assert.rejects(run(['add', '--name', 'other', '--file', certFile]), {
      code: 'CREDENTIAL_INVALID',
      message: /registered already/,
    });
    const shown = JSON.parse((await run(['show', 'phone'])).printed.join('\n'));
    assert.equal(shown.fingerprint_sha256, fingerprintOf(cert));
    assert.match((await run(['list'])).printed[1]!, /^crd_\w+ +phone +live /);
    await run(['revoke', 'phone']);
    assert.throws(() => engine.verifyCertificate(fingerprintOf(cert)), {
      code: 'CLIENT_CERTIFICATE_REVOKED',
    });
    // A certificate that was lost does not come back under another name.
    await assert.rejects(run(['add', '--name', 'again', '--file', certFile]), { code: 'CREDENTIAL_INVALID' });
  });

  test('refuses a file that holds none, and shows nothing of it', async (t) => {
    const { run, directory } = await setUp(t);
    const { keyFile, key } = await testCertificates();
    const empty = join(directory, 'empty.pem');
    writeFileSync(empty, '');
    for (const file of [keyFile, empty])
      await assert.rejects(run(['add', '--name', 'x', '--file', file]), (error: Error) => {
        assert.match(error.message, /no PEM certificate/);
        return !error.message.includes(key.split('\n')[1]!);
      });
    await assert.rejects(run(['add', '--name', 'x', '--file', '/nowhere']), { code: 'USAGE' });
  });
});
