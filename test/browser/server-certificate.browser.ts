/** The page of server certificates in a real browser: looked at, checked, replaced. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { logIn, PASSWORD, startAdminEngine, withAdmins } from '../engine/ask-admin.ts';
import { createTestPair, testCertificates } from '../support/certificates.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { openBrowser, openPage, takePictures } from './page.ts';

test('a certificate is replaced by what was checked before, and the next handshake shows it', async (t) => {
  const [first, second] = [await createTestPair('first'), await createTestPair('second', {}, ['localhost'])];
  const { ca } = await testCertificates();
  const directory = makeTemporaryDirectory(t);
  const [certFile, keyFile] = [join(directory, 'server.pem'), join(directory, 'server-key.pem')];
  writeFileSync(certFile, first.cert);
  writeFileSync(keyFile, first.key, { mode: 0o600 });
  const engine = await startAdminEngine(t, {}, { certificates: { ca, certFile, keyFile } });
  const browser = await openBrowser(first.cert, second.cert);
  t.after(() => browser.close());

  const { link } = await withAdmins(engine, (admins) => admins.create({ name: 'owner', role: 'admin' }));
  const { page, faults } = await openPage(await browser.newContext());
  await page.goto(`https://localhost:${engine.adminPort}/#link=${link.reveal()}`);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByLabel('The same again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set the password and log in' }).click();
  await page.getByRole('link', { name: 'Server certificate', exact: true }).click();
  await page.getByText('names *.t.localhost', { exact: true }).waitFor();
  await page.getByText('From files that somebody else renews').waitFor();
  await takePictures(page, 'server-certificate');

  await page.getByRole('button', { name: 'Replace' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Certificate and chain in PEM', { exact: false }).first().fill(second.cert);
  await dialog.getByLabel('Private key in PEM', { exact: false }).first().fill(first.key);
  await dialog.getByRole('button', { name: 'Check it' }).click();
  await dialog.getByText('This cannot be used: the private key does not belong').waitFor();
  await takePictures(page, 'server-certificate-refused');

  await dialog
    .getByLabel('Private key in PEM, from a file')
    .setInputFiles({ name: 'key.pem', mimeType: 'text/plain', buffer: Buffer.from(second.key) });
  await dialog.getByRole('button', { name: 'Check it' }).click();
  await dialog.getByText('does not name *.t.localhost', { exact: true }).waitFor();
  await takePictures(page, 'server-certificate-confirm');
  await dialog.getByRole('button', { name: 'Replace' }).click();
  await page.getByText('Replaced. New connections see the new certificate.').waitFor();
  await page.getByText('does not name *.t.localhost', { exact: true }).waitFor();
  assert.ok(!(await page.content()).includes('PRIVATE KEY'));

  const socket = connect({ host: '127.0.0.1', port: engine.port, ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = new X509Certificate(second.cert);
  assert.equal(socket.getPeerX509Certificate()?.fingerprint256, fingerprint256);
  socket.destroy();
  assert.deepEqual(faults, []);
});

test('a viewer sees it and replaces nothing', async (t) => {
  const engine = await startAdminEngine(t);
  const { cookie } = await logIn(engine, 'viewer', 'viewer');
  const browser = await openBrowser();
  t.after(() => browser.close());
  const context = await browser.newContext();
  const [name = '', value = ''] = cookie.split('=');
  await context.addCookies([{ name, value, url: `https://localhost:${engine.adminPort}`, secure: true }]);
  const { page, faults } = await openPage(context);
  await page.goto(`https://localhost:${engine.adminPort}/#/server-certificate`);
  await page.getByText('names localhost', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Replace' }).count(), 0);
  assert.deepEqual(faults, []);
});
