/** A client certificate that is issued on the admin page, and works at once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { createClock } from '../../src/base/time.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { startAdminEngine } from '../engine/ask-admin.ts';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { openBrowser, takePictures } from './page.ts';
import { enter, goTo } from './visit.ts';

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Asynchronous: the engine that answers is in this process. */
const curl = (engine: TestEngine, hostname: string, flags: readonly string[]): Promise<string> => {
  const address = `https://${hostname}:${engine.port}/`;
  const child = spawn('curl', [
    '-sk',
    '--max-time',
    '10',
    '--resolve',
    `${hostname}:${engine.port}:127.0.0.1`,
    ...flags,
    address,
  ]);
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  return new Promise((resolve, reject) => child.on('error', reject).on('close', () => resolve(out)));
};

test('a certificate that is issued on the page opens a tunnel at once, and no more when it is revoked', async (t) => {
  const engine = await startAdminEngine(t);
  const authority = await createAuthority({ host: 'localhost', clock: createClock() });
  writeFileSync(join(engine.directory, 'ca.pem'), authority.caCertificate);
  writeFileSync(join(engine.directory, 'ca-key.pem'), authority.caKey);
  const upstream = await startHttpUpstream(t, (_, response) => response.end('the secret menu'));
  const { reply } = await engine.publish(upstream, { name: 'menu', hostname: 'menu', mtlsAuth: true });
  const { hostname = '' } = reply;
  const { page, faults } = await enter(browser, engine, 'owner');

  await goTo(page, 'Client certificates');
  await takePictures(page, 'certificates-empty');
  await page.getByRole('button', { name: 'Issue a certificate' }).click();
  await page.getByLabel('Name').fill('phone');
  await page.getByRole('dialog').getByRole('button', { name: 'Issue a certificate' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('img', { name: 'For a phone' }).waitFor();
  await takePictures(page, 'certificate-made');
  const password = (await dialog.locator('code').textContent()) ?? '';
  const downloading = page.waitForEvent('download');
  await dialog.getByRole('link', { name: 'Download the bundle' }).click();
  const bundle = join(engine.directory, 'phone.p12');
  await (await downloading).saveAs(bundle);

  const flags = ['--cert-type', 'P12', '--cert', `${bundle}:${password}`];
  assert.match(await curl(engine, hostname, []), /CLIENT_CERTIFICATE_MISSING/);
  assert.equal(await curl(engine, hostname, flags), 'the secret menu');
  await page.getByRole('button', { name: 'Done' }).click();
  await takePictures(page, 'certificates');
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('revoked', { exact: true }).waitFor();
  assert.match(await curl(engine, hostname, flags), /CLIENT_CERTIFICATE_REVOKED/);
  assert.deepEqual(faults, []);
});
