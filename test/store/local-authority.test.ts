import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createAuthority, issueServerIdentity } from '../../src/store/authority.ts';
import { standingOf } from '../../src/store/local-authority.ts';
import { createTestPair, testCertificates } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const DAY_MS = 86_400_000;
const host = 'edge.example.test';

const setUp = async (t: TestContext) => {
  const directory = makeTemporaryDirectory(t);
  const clock = createFakeClock();
  const made = await createAuthority({ host, clock });
  const files = { certFile: join(directory, 'ca.pem'), keyFile: join(directory, 'ca-key.pem') };
  writeFileSync(files.certFile, made.caCertificate);
  writeFileSync(files.keyFile, made.caKey);
  const standing = (pem: string, aheadMs = 0) =>
    standingOf(new X509Certificate(pem), files, { host, nowMs: clock.now() + aheadMs });
  return { clock, made, files, standing };
};

test('what the local CA has made is renewed at two thirds of its life', async (t) => {
  const { clock, made, standing } = await setUp(t);
  const { source, renewsAt = 0, obstacle } = standing(made.serverCertificate);
  assert.deepEqual([source, obstacle], ['local_ca', undefined]);
  assert.ok(Math.abs(renewsAt - clock.now() - (397 * DAY_MS * 2) / 3) < DAY_MS);
});

test('what somebody else has made is never renewed', async (t) => {
  const { clock, made, files, standing } = await setUp(t);
  const other = await createAuthority({ host, clock });
  const { cert } = await createTestPair('theirs', {}, [host, `*.t.${host}`]);
  for (const pem of [other.serverCertificate, cert]) assert.deepEqual(standing(pem), { source: 'files' });
  // A CA of the operator, by which the page issues client certificates, signs no server certificate by itself.
  const { ca } = await testCertificates();
  writeFileSync(files.certFile, ca);
  assert.deepEqual(standing(cert), { source: 'files' });
  rmSync(files.certFile);
  assert.deepEqual(standing(made.serverCertificate), { source: 'files' });
});

test('what keeps it from being renewed is named', async (t) => {
  const { clock, made, files, standing } = await setUp(t);
  const more = await issueServerIdentity(made, { host: 'other.example.test', clock });
  assert.deepEqual(standing(more.serverCertificate), {
    source: 'local_ca',
    obstacle: 'it names other.example.test, which is no name of this engine',
  });
  assert.match(standing(made.serverCertificate, -DAY_MS).obstacle ?? '', /the clock is behind/);
  assert.match(
    standing(made.serverCertificate, 3_640 * DAY_MS).obstacle ?? '',
    /the local CA ends on 20\d\d-/,
  );
  rmSync(files.keyFile);
  assert.match(standing(made.serverCertificate).obstacle ?? '', /ca-key\.pem cannot be read \(ENOENT\)/);
});

test('a certificate does not outlive its CA, and one of a clock that was ahead is made again', async (t) => {
  const { clock, made, standing } = await setUp(t);
  const late = createFakeClock(clock.now() + 3_500 * DAY_MS);
  const { serverCertificate } = await issueServerIdentity(made, { host, clock: late });
  const [issued, authority] = [
    new X509Certificate(serverCertificate),
    new X509Certificate(made.caCertificate),
  ];
  assert.equal(issued.validTo, authority.validTo);
  assert.equal(standing(serverCertificate).renewsAt, clock.now());
});
