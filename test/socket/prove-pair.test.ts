import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClock } from '../../src/base/time.ts';
import { pairFrom, warningsOf } from '../../src/socket/certificate-pair.ts';
import { provePair } from '../../src/socket/prove-pair.ts';
import { createRsaPair, createTestPair, type TestPair, testCertificates } from '../support/certificates.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const read = ({ cert, key }: TestPair) =>
  pairFrom({ cert: Buffer.from(cert), key: Buffer.from(key), certName: 'cert', keyName: 'key' });

test('a handshake with itself proves a pair, and leaves nothing', async () => {
  const clock = createClock();
  for (const pair of [await createTestPair('ec'), await createRsaPair('rsa')])
    await provePair(read(pair), { clock, host: 'localhost' });
  assert.equal(clock.pendingCount, 0);
});

test('a key that TLS 1.3 has no signature for is refused, though OpenSSL loads it', async (t) => {
  const directory = makeTemporaryDirectory(t);
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1', '-nodes'];
  const { status } = spawnSync('openssl', [
    ...['req', '-x509', ...kind],
    ...['-subj', '/CN=localhost', '-keyout', key, '-out', cert],
  ]);
  assert.equal(status, 0);
  const pair = read({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') });
  const clock = createClock();
  await assert.rejects(provePair(pair, { clock, host: 'localhost' }), {
    code: 'CERTIFICATE_INVALID',
    message: /no TLS 1\.3 handshake is possible with it/,
  });
  assert.equal(clock.pendingCount, 0);
});

test('what clients would stumble over is told, and keeps nothing from being used', async () => {
  const { ca } = await testCertificates();
  const [pair, other] = [
    await createTestPair('one'),
    await createTestPair('other', {}, ['other.example.test']),
  ];
  const nowMs = Date.now();
  const told = (certs: string, host: string, ahead = 0) =>
    warningsOf(read({ ...pair, cert: certs }), host, nowMs + ahead);
  assert.deepEqual(told(pair.cert, 'localhost'), []);
  assert.deepEqual(told(`${pair.cert}\n${other.cert}`, 'localhost'), [
    'certificate 2 of the chain has not issued the one before it',
  ]);
  assert.deepEqual(told(`${pair.cert}\n${ca}`, 'localhost'), [
    'the chain ends with a root, which clients have or do not trust: leave it out',
  ]);
  assert.deepEqual(told(pair.cert, 'nobody.example.test'), [
    'it does not name nobody.example.test, where agents connect',
    'it does not name *.t.nobody.example.test, where tunnels are published',
  ]);
  assert.deepEqual(
    warningsOf(read(other), 'localhost', nowMs, [read(pair)]),
    [],
    'the other one has the names',
  );
  assert.match(told(pair.cert, 'localhost', 350 * 86_400_000).join(), /^it expires in 14 days$/);
});
