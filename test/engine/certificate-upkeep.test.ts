/** The upkeep of certificates by a clock that the test moves: when it renews, how often it tries, whom it tells. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createMetrics } from '../../src/base/metric-numbers.ts';
import { createCertificateUpkeep, type ExpiringCertificate } from '../../src/certificate-upkeep.ts';
import { createCertificates } from '../../src/socket/certificates.ts';
import type { AuditEvent } from '../../src/store/audit.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { createTestPair } from '../support/certificates.ts';
import { createFakeClock, type FakeClock } from '../support/clock.ts';
import { eventually } from '../support/eventually.ts';
import { createLogRecorder } from '../support/log.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const host = 'localhost';

const setUp = async (t: TestContext, clock: FakeClock, pair?: { cert: string; key: string }) => {
  const directory = makeTemporaryDirectory(t);
  const made = await createAuthority({ host, clock });
  const files = { certFile: join(directory, 'server.pem'), keyFile: join(directory, 'server-key.pem') };
  const authority = { certFile: join(directory, 'ca.pem'), keyFile: join(directory, 'ca-key.pem') };
  writeFileSync(files.certFile, pair?.cert ?? made.serverCertificate);
  writeFileSync(files.keyFile, pair?.key ?? made.serverKey);
  writeFileSync(authority.certFile, made.caCertificate);
  writeFileSync(authority.keyFile, made.caKey);
  const log = createLogRecorder();
  const certificates = createCertificates({ log, clock }, [files], { engineHost: host });
  const told: ExpiringCertificate[] = [];
  const audited: AuditEvent[] = [];
  const metrics = createMetrics();
  const upkeep = createCertificateUpkeep(
    {
      clock,
      log,
      certificates,
      metrics,
      audit: { record: (event) => audited.push(event) },
      onExpiring: (event) => told.push(event),
    },
    { host, files: [files], authority },
  );
  await upkeep.start();
  t.after(() => {
    upkeep.stop();
    assert.equal(clock.pendingCount, 0);
  });
  const results = () => audited.map(({ result }) => result);
  const isTried = (count: number) => eventually(() => audited.length === count, `${count} attempts`);
  return { clock, files, authority, certificates, told, audited, results, isTried, metrics, upkeep };
};

/** As many hourly looks, each with what it sets off. */
const passHours = async (clock: FakeClock, count: number) => {
  for (let hour = 0; hour < count; hour += 1) {
    clock.advance(HOUR_MS);
    await new Promise(setImmediate);
  }
};

test('renews once when two thirds are over, and tells nobody of its end', async (t) => {
  const clock = createFakeClock();
  const { files, certificates, told, results, isTried, metrics } = await setUp(t, clock);
  const before = readFileSync(files.certFile, 'utf8');
  clock.jump(264 * DAY_MS);
  await passHours(clock, 2);
  assert.deepEqual(results(), []);
  clock.jump(DAY_MS);
  clock.advance(HOUR_MS);
  await isTried(1);
  await passHours(clock, 30);
  assert.deepEqual([results(), told], [['ok'], []]);
  assert.notEqual(readFileSync(files.certFile, 'utf8'), before);
  const text = await metrics.render();
  const seconds = (certificates.current()[0]?.expiresAt ?? 0) / 1_000;
  assert.match(
    text,
    new RegExp(`^rstream_engine_certificate_expiry_timestamp_seconds\\{certificate="0"\\} ${seconds}$`, 'm'),
  );
  assert.match(text, /^rstream_engine_certificate_renewals_total\{outcome="renewed"\} 1$/m);
});

test('a renewal that fails is told of, and tried less and less often', async (t) => {
  const clock = createFakeClock();
  const { authority, told, results, upkeep } = await setUp(t, clock);
  const key = readFileSync(authority.keyFile, 'utf8');
  writeFileSync(authority.keyFile, 'no key');
  clock.jump(300 * DAY_MS);
  await passHours(clock, 1);
  await eventually(() => told.length === 1, 'the first attempt is told of');
  assert.deepEqual([told[0]?.reason, told[0]?.daysLeft], ['renewal_failed', 96]);
  assert.match(
    upkeep.lastRenewalOf(0)?.problem ?? '',
    /The local CA cannot sign: \S+ca-key\.pem cannot be used/,
  );
  await passHours(clock, 10 * 24);
  await eventually(() => told.length === results().length, 'every attempt is told of');
  // 240 looks; the waits between attempts are drawn by lot, up to a day each.
  assert.ok(results().length >= 5 && results().length <= 60, `${results().length} attempts in ten days`);
  writeFileSync(authority.keyFile, key);
  await passHours(clock, 25);
  await eventually(() => results().at(-1) === 'ok', 'it is renewed once it can be');
  assert.equal(upkeep.lastRenewalOf(0)?.problem, undefined);
});

test('a key that is not that of the CA signs nothing that is served', async (t) => {
  const clock = createFakeClock();
  const { authority, files, told } = await setUp(t, clock);
  const before = readFileSync(files.certFile, 'utf8');
  const other = await createAuthority({ host, clock });
  writeFileSync(authority.keyFile, other.caKey);
  clock.jump(300 * DAY_MS);
  clock.advance(HOUR_MS);
  await eventually(() => told.length === 1, 'the attempt is told of');
  assert.match(told[0]?.problem ?? '', /ca-key\.pem is not the key of \S+ca\.pem/);
  assert.equal(readFileSync(files.certFile, 'utf8'), before);
});

test('a calendar that jumps to and fro causes no storm', async (t) => {
  const clock = createFakeClock();
  const { results } = await setUp(t, clock);
  // Four hours, in which every ten minutes bring another year.
  for (let turn = 0; turn < 24; turn += 1) {
    clock.jump((turn % 2 === 0 ? 1 : -1) * 300 * DAY_MS);
    clock.advance(HOUR_MS / 6);
    await new Promise(setImmediate);
  }
  await passHours(clock, 1);
  assert.ok(results().length <= 5, `${results().length} attempts in five hours`);
});

test('a certificate of somebody else is not touched, and told of once a day from 21 days before', async (t) => {
  const clock = createFakeClock(Date.now());
  const end = { notBeforeDate: new Date(0), notAfterDate: new Date(Date.now() + 30 * DAY_MS) };
  const pair = await createTestPair('theirs', end);
  const { files, told, results } = await setUp(t, clock, pair);
  await passHours(clock, 8 * 24);
  assert.equal(told.length, 0);
  await passHours(clock, 3 * 24 - 1);
  assert.deepEqual(
    told.map(({ reason, daysLeft }) => [reason, daysLeft]),
    [
      ['expires_soon', 20],
      ['expires_soon', 19],
    ],
  );
  await passHours(clock, 21 * 24);
  assert.equal(told.at(-1)?.reason, 'expired');
  assert.equal(told.length, 23, 'once a day');
  assert.deepEqual(results(), []);
  assert.equal(readFileSync(files.certFile, 'utf8'), pair.cert);
});

test('files that somebody is about to replace are left alone', async (t) => {
  const clock = createFakeClock();
  const { files, results, told } = await setUp(t, clock);
  writeFileSync(files.certFile, 'the first half of something');
  clock.jump(300 * DAY_MS);
  await passHours(clock, 1);
  await eventually(() => results().length === 1, 'one attempt');
  assert.deepEqual(results(), ['CERTIFICATE_FILES_FIXED']);
  assert.match(told[0]?.problem ?? '', /is being replaced by somebody else/);
  assert.equal(readFileSync(files.certFile, 'utf8'), 'the first half of something');
});
