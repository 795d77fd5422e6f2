import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createClock } from '../../src/base/time.ts';
import { PLATFORMS } from '../../src/cli/trust-steps.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { createTestPair } from '../support/certificates.ts';
import { setUpStore } from './store-room.ts';

const host = 'edge.example.com';

const setUp = async (t: TestContext) => {
  const room = setUpStore(t, 'cert');
  const made = await createAuthority({ host, clock: createClock() });
  const files = { 'ca.pem': made.caCertificate, 'ca-key.pem': made.caKey };
  const pair = { 'cert.pem': made.serverCertificate, 'key.pem': made.serverKey };
  for (const [name, text] of Object.entries({ ...files, ...pair }))
    writeFileSync(join(room.directory, name), text, { mode: 0o600 });
  return { ...room, made };
};

describe('cert show-server', () => {
  test('tells names, end, issuer and who renews it, and no key', async (t) => {
    const { run, made, directory } = await setUp(t);
    const { all } = await run(['show-server']);
    for (const part of [
      `${join(directory, 'cert.pem')} with`,
      `${host}, *.t.${host}, localhost`,
      'ec prime256v1',
      `CN=rstream-engine-ce CA for ${host}`,
      '(396 days left)',
      new X509Certificate(made.serverCertificate).fingerprint256,
      'the engine renews it from 20',
    ])
      assert.ok(all.includes(part), part);
    const [shape] = JSON.parse((await run(['show-server', '--json'])).printed.join('\n'));
    assert.deepEqual(
      [shape.source, shape.covers_host, shape.covers_tunnels, shape.warnings],
      ['local_ca', true, true, []],
    );
    assert.ok(!(all + JSON.stringify(shape)).includes('PRIVATE'));
  });

  test('says why a certificate of the local CA is not renewed, and what is wrong with one of somebody else', async (t) => {
    const { run, directory } = await setUp(t);
    rmSync(join(directory, 'ca-key.pem'));
    assert.match(
      (await run(['show-server'])).all,
      /it is NOT renewed: \S+ca-key\.pem cannot be read \(ENOENT\)/,
    );
    const { cert, key } = await createTestPair('theirs');
    writeFileSync(join(directory, 'cert.pem'), cert);
    writeFileSync(join(directory, 'key.pem'), key);
    const { all } = await run(['show-server']);
    assert.match(all, /made by {2}somebody else/);
    assert.match(all, /warning {2}it does not name \*\.t\.edge\.example\.com/);
  });
});

describe('cert trust', () => {
  test('prints the path, the fingerprint and the steps of each platform', async (t) => {
    const { run, made, directory } = await setUp(t);
    const { printed, told } = await run(['trust']);
    const [text = ''] = printed;
    assert.ok(text.includes(join(directory, 'ca.pem')));
    assert.ok(text.includes(new X509Certificate(made.caCertificate).fingerprint256));
    for (const [name, { title }] of Object.entries(PLATFORMS)) assert.ok(text.includes(title), name);
    assert.deepEqual(told, []);
  });

  test('--platform prints one; a CA that is not used, or not there, is said', async (t) => {
    const { run, directory } = await setUp(t);
    const { all } = await run(['trust', '--platform', 'fedora']);
    assert.ok(all.includes('update-ca-trust') && !all.includes('keytool'));
    await assert.rejects(run(['trust', '--platform', 'plan9']), /Allowed choices are debian/);
    const { cert, key } = await createTestPair('theirs');
    writeFileSync(join(directory, 'cert.pem'), cert);
    writeFileSync(join(directory, 'key.pem'), key);
    assert.match((await run(['trust'])).told.join(), /was not made by this CA/);
    rmSync(join(directory, 'ca.pem'));
    await assert.rejects(run(['trust']), {
      code: 'USAGE',
      message: /There is no local CA in \S+ca\.pem \(ENOENT\)/,
    });
  });
});
