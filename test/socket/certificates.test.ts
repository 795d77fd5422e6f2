import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createCertificates } from '../../src/socket/certificates.ts';
import { pairsForName } from '../../src/socket/choose-pair.ts';
import { createRsaPair, createTestPair, type TestPair } from '../support/certificates.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

/** A pair in files, with what createCertificates needs. */
const setUp = (t: TestContext, { cert, key }: TestPair) => {
  const directory = makeTemporaryDirectory(t);
  const files = { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key);
  const clock = createFakeClock(Date.now());
  const log = createLogRecorder();
  return { files, clock, log, create: () => createCertificates({ log, clock }, [files]) };
};

describe('loading', () => {
  test('gives the pair', async (t) => {
    const pair = await createTestPair('first');
    const { create, log } = setUp(t, pair);
    const [current] = create().current();
    assert.ok(current);
    assert.equal(current.cert.toString(), pair.cert);
    assert.equal(current.key.toString(), pair.key);
    assert.ok(current.expiresAt > Date.now());
    assert.deepEqual(log.lines, []);
  });

  test('a pair that has expired is used, with a warning', async (t) => {
    const yesterday = new Date(Date.now() - 86_400_000);
    const pair = await createTestPair('old', { notBeforeDate: new Date(0), notAfterDate: yesterday });
    const { create, log } = setUp(t, pair);
    assert.equal(create().current()[0]?.cert.toString(), pair.cert);
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'the certificate has expired']],
    );
  });

  const FAULTS: [title: string, fault: (pair: TestPair) => Promise<Partial<TestPair>>, problem: RegExp][] = [
    [
      'a key of another pair',
      async () => ({ key: (await createTestPair('other')).key }),
      /does not belong to/,
    ],
    ['a key of another kind', async () => ({ key: rsaKey() }), /does not belong to/],
    ['an empty certificate', async () => ({ cert: '' }), /cert\.pem holds no PEM certificate/],
    ['an empty key', async () => ({ key: '' }), /key\.pem holds no unencrypted PEM key/],
    [
      'the files in each other’s place',
      async ({ cert, key }) => ({ cert: key, key: cert }),
      /cert\.pem holds/,
    ],
  ];
  for (const [title, fault, problem] of FAULTS)
    test(`${title} is named`, async (t) => {
      const pair = await createTestPair('first');
      const { create } = setUp(t, { ...pair, ...(await fault(pair)) });
      assert.throws(create, { code: 'CERTIFICATE_INVALID', message: problem });
    });

  test('a missing file is named', async (t) => {
    const { create, files } = setUp(t, await createTestPair('first'));
    rmSync(files.keyFile);
    assert.throws(create, { code: 'CERTIFICATE_INVALID', message: /key\.pem cannot be read \(ENOENT\)/ });
  });
});

describe('several pairs', () => {
  /** Two pairs in files; the second one is what the test gives. */
  const setUpTwo = async (t: TestContext, second: TestPair) => {
    const first = setUp(t, await createTestPair('first'));
    const other = setUp(t, second);
    const { clock, log } = first;
    const files = [first.files, other.files];
    return { clock, log, files, create: () => createCertificates({ log, clock }, files) };
  };

  test('of different kinds are held side by side', async (t) => {
    const { create } = await setUpTwo(t, await createRsaPair('second'));
    assert.deepEqual(
      create()
        .current()
        .map(({ kind }) => kind),
      ['ec', 'rsa'],
    );
  });

  test('of one kind for the same names are refused, and both named', async (t) => {
    const { create, files } = await setUpTwo(t, await createTestPair('second'));
    assert.throws(create, {
      code: 'CERTIFICATE_INVALID',
      message: `The certificate cannot be used: ${files[0]?.certFile} and ${files[1]?.certFile} both have a key of kind ec, and the second has no name of its own: it would never be shown.`,
    });
  });

  test('of one kind for names of their own are held side by side', async (t) => {
    const second = await createTestPair('second', {}, ['other.example.test']);
    const { create } = await setUpTwo(t, second);
    const pairs = create().current();
    const shownFor = (name: string) =>
      pairsForName(name, pairs).map(({ chain: [{ subject }] }) => subject.replace(/^CN=/, ''));
    assert.deepEqual(shownFor('localhost'), ['first']);
    assert.deepEqual(shownFor('shop.t.localhost'), ['first']);
    assert.deepEqual(shownFor('other.example.test'), ['second']);
    assert.deepEqual(shownFor('unknown.example.test'), ['first'], 'the first is what errors tell of');
  });

  test('are taken up together, or not at all', async (t) => {
    const { create, clock, files, log } = await setUpTwo(t, await createRsaPair('x'));
    const certificates = create();
    const before = certificates.current();
    const [ec, rsa] = [await createTestPair('ec'), await createRsaPair('rsa')];
    writeFileSync(files[0]?.certFile ?? '', ec.cert);
    writeFileSync(files[0]?.keyFile ?? '', ec.key);
    writeFileSync(files[1]?.certFile ?? '', rsa.cert);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current(), before, 'the key of the second is still the old one');
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);
    writeFileSync(files[1]?.keyFile ?? '', rsa.key);
    clock.advance(LIMITS.certificateCheckMs);
    assert.deepEqual(
      certificates.current().map(({ cert }) => cert.toString()),
      [ec.cert, rsa.cert],
    );
  });
});

describe('reloading', () => {
  const DAY_MS = 86_400_000;

  test('a pair that has expired is kept out', async (t) => {
    const { create, clock, files, log } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    const old = { notBeforeDate: new Date(0), notAfterDate: new Date(Date.now() - DAY_MS) };
    const { cert, key } = await createTestPair('old', old);
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current(), first);
    assert.match(certificates.lastReload?.problem ?? '', /cert\.pem has expired/);
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);
    // It was the clock that was wrong.
    clock.jump(-3 * DAY_MS);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current()[0]?.cert.toString(), cert);
  });

  test('a pair of tomorrow is kept out until then', async (t) => {
    const { create, clock, files, log } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    const tomorrow = { notBeforeDate: new Date(Date.now() + DAY_MS) };
    const { cert, key } = await createTestPair('next', tomorrow);
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current(), first);
    assert.match(certificates.lastReload?.problem ?? '', /is not valid before/);
    clock.advance(DAY_MS);
    assert.equal(certificates.current()[0]?.cert.toString(), cert);
    assert.equal(certificates.lastReload?.problem, undefined);
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);
  });

  test('a chain with one certificate that cannot be read is kept out', async (t) => {
    const pair = await createTestPair('first');
    const { create, clock, files } = setUp(t, pair);
    const certificates = create();
    const first = certificates.current();
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    writeFileSync(files.certFile, `${pair.cert}\n${broken}`);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current(), first);
    assert.match(certificates.lastReload?.problem ?? '', /certificate 2 in .*cert\.pem cannot be read/);
  });

  test('names that are missing are told of, and refuse nothing', async (t) => {
    const { clock, files, log } = setUp(t, await createTestPair('first', {}, ['edge.example.test']));
    const create = () => createCertificates({ log, clock }, [files], { engineHost: 'edge.example.test' });
    assert.equal(create().current().length, 1);
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields.hostname]),
      [['warn', '*.t.edge.example.test']],
    );
  });

  test('a new pair is taken up within the check interval, not sooner', async (t) => {
    const { create, clock, files, log } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    const second = await createTestPair('second');
    writeFileSync(files.certFile, second.cert);
    writeFileSync(files.keyFile, second.key);
    clock.advance(LIMITS.certificateCheckMs - 1);
    assert.equal(certificates.current(), first);
    clock.advance(1);
    assert.equal(certificates.current()[0]?.cert.toString(), second.cert);
    assert.equal(log.lines.at(-1)?.message, 'the certificate was reloaded');
  });

  test('files that did not change give the same object', async (t) => {
    const { create, clock } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    clock.advance(LIMITS.certificateCheckMs * 5);
    assert.equal(certificates.current(), first);
  });

  test('a broken replacement keeps the old pair, and is reported once', async (t) => {
    const { create, clock, files, log } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    const second = await createTestPair('second');
    // As a rotation does it: first one file, then the other.
    writeFileSync(files.certFile, second.cert);
    for (let check = 0; check < 3; check += 1) {
      clock.advance(LIMITS.certificateCheckMs);
      assert.equal(certificates.current(), first);
    }
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);
    writeFileSync(files.keyFile, second.key);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current()[0]?.cert.toString(), second.cert);
  });

  test('files that vanish keep the old pair', async (t) => {
    const { create, clock, files, log } = setUp(t, await createTestPair('first'));
    const certificates = create();
    const first = certificates.current();
    rmSync(files.certFile);
    rmSync(files.keyFile);
    clock.advance(LIMITS.certificateCheckMs);
    assert.equal(certificates.current(), first);
    assert.equal(log.withCode('CERTIFICATE_INVALID').length, 1);
  });

  test('the key is never logged', async (t) => {
    const pair = await createTestPair('first');
    const { create, clock, files, log } = setUp(t, pair);
    const certificates = create();
    writeFileSync(files.certFile, pair.key);
    clock.advance(LIMITS.certificateCheckMs);
    certificates.current();
    assert.ok(!JSON.stringify(log.lines).includes('PRIVATE KEY'));
  });
});

const rsaKey = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey;
