/** What the door of backups does with callers who do not take what they asked for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createBackupDesk } from '../src/backup-desk.ts';
import { LIMITS } from '../src/base/limits.ts';
import { Secret } from '../src/base/secret.ts';
import { configFromObject } from '../src/config/load.ts';
import { openDatabase } from '../src/store/database.ts';
import { testCertificates } from './support/certificates.ts';
import { createFakeClock } from './support/clock.ts';
import { makeTemporaryDirectory } from './support/temporary-directory.ts';

const PASSPHRASE = new Secret('a long way home 42');

const openDesk = async (t: TestContext) => {
  const dir = makeTemporaryDirectory(t);
  const { certFile, keyFile } = await testCertificates();
  const config = configFromObject(
    {
      engine: { host: 'localhost' },
      certs: { static: { cert_file: certFile, key_file: keyFile } },
      store: { path: 'engine.db' },
    },
    { dir },
  );
  openDatabase({ path: config.store.path, mode: 'create' }).close();
  const path = join(dir, 'config.yaml');
  writeFileSync(path, '# of a test\n');
  const clock = createFakeClock();
  return { clock, desk: createBackupDesk({ clock, configFile: { path }, running: () => config }) };
};

test('who does not read is not waited for longer than any answer may take', async (t) => {
  const { clock, desk } = await openDesk(t);
  const { content } = await desk.make(PASSPHRASE);
  await assert.rejects(desk.make(PASSPHRASE), { code: 'BACKUP_BUSY' });
  clock.advance(LIMITS.apiAnswerMsMax);
  await once(content, 'close');
  const next = await desk.make(PASSPHRASE);
  next.content.destroy();
  await desk.destroy();
});

test('its end is the end of the download too', async (t) => {
  const { desk } = await openDesk(t);
  const { content } = await desk.make(PASSPHRASE);
  await desk.destroy();
  assert.ok(content.closed);
});
