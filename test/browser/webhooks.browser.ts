/** Webhooks and the backup in a real browser: made, tested, told of what happens, switched off, removed; and a file that can be restored. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { webhookSignature } from '../../src/base/webhook.ts';
import { readBackup } from '../../src/store/backup.ts';
import { startAdminEngine } from '../engine/ask-admin.ts';
import { eventually } from '../support/eventually.ts';
import { openBrowser, takePictures } from './page.ts';
import { enter, goTo } from './visit.ts';

const CONFIGURED = {
  name: 'from-the-file',
  url: 'https://hooks.example.com/path-with-a-key',
  secret: `whsec_${'s'.repeat(43)}`,
  events: ['certificate.expiring'],
};

/** A real server that keeps what it is told and answers as it is set. */
const startReceiver = async (t: TestContext) => {
  const told: { type: string; signature: string; text: string }[] = [];
  const state = { status: 204 };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    told.push({ type: JSON.parse(text).type, signature: String(request.headers['rstream-signature']), text });
    response.writeHead(state.status).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { told, state, url: `http://127.0.0.1:${port}/path-with-a-key` };
};

const start = (t: TestContext) =>
  startAdminEngine(
    t,
    { webhooks: { allow_private: true, endpoints: [CONFIGURED] } },
    { hasConfigFile: true },
  );

test('a webhook is made, tested, told of what happens, changed and removed', async (t) => {
  const [engine, receiver] = [await start(t), await startReceiver(t)];
  const browser = await openBrowser();
  t.after(() => browser.close());
  const { page, faults } = await enter(browser, engine, 'owner');
  const dialog = page.getByRole('dialog');
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const confirm = (name: string) => dialog.getByRole('button', { name, exact: true }).click();

  await goTo(page, 'Webhooks');
  await press('Create a webhook');
  await dialog.getByLabel('Name').fill('operations');
  await dialog.getByLabel('Address').fill(receiver.url);
  await dialog.getByLabel('an agent connects').check();
  await dialog.getByLabel('a tunnel opens').check();
  await takePictures(page, 'webhook-create');
  await confirm('Create a webhook');
  const secret = (await dialog.locator('code.secret').first().textContent()) ?? '';
  assert.match(secret, /^whsec_/);
  await dialog.getByText('verify_event').waitFor();
  await takePictures(page, 'webhook-secret');
  await confirm('Done');
  assert.ok(!(await page.content()).includes(secret));
  await page.getByText('configuration file').waitFor();
  await takePictures(page, 'webhooks');

  await page.getByRole('link', { name: 'operations' }).click();
  await press('Send a test');
  await confirm('Send a test');
  await page.getByText('The test arrived: the receiver answered 204').waitFor();
  const [first] = receiver.told;
  assert.equal(first?.type, 'webhook.test');
  const seconds = Number(/^t=(\d+),/.exec(first?.signature ?? '')?.[1]);
  assert.equal(first?.signature, webhookSignature(first?.text ?? '', [new Secret(secret)], seconds));

  await engine.connectAgent();
  await eventually(() => receiver.told.some(({ type }) => type === 'client.created'), 'client.created');
  await page.getByRole('cell', { name: 'an agent connects client.created' }).waitFor();

  receiver.state.status = 500;
  await press('Send a test');
  await dialog.getByLabel('As').selectOption('tunnel.created');
  await confirm('Send a test');
  await page.getByText('The test did not arrive. It answered 500, and not 2xx.').waitFor();
  await (await engine.connectAgent()).kill();
  await page.getByText('Next try at').first().waitFor();
  await takePictures(page, 'webhook');
  receiver.state.status = 204;

  await page
    .getByRole('button', { name: /^Send again/ })
    .last()
    .click();
  await page.getByText('It is queued again').waitFor();

  await press('Edit');
  await dialog.getByLabel('a tunnel opens').uncheck();
  await dialog.getByLabel('a credential is revoked').check();
  await confirm('Save');
  await page.locator('dl').getByText('a credential is revoked', { exact: true }).waitFor();
  assert.equal(await page.locator('dl').getByText('a tunnel opens', { exact: true }).count(), 0);

  await press('Rotate the secret');
  await dialog.getByLabel('The old one goes on signing for').selectOption('an hour');
  await takePictures(page, 'webhook-rotate');
  await confirm('Rotate the secret');
  assert.notEqual(await dialog.locator('code.secret').first().textContent(), secret);
  await confirm('Done');
  await page.getByText('The old secret signs until').waitFor();

  await press('Disable');
  await dialog.getByText('What happens until it is enabled again is never told.', { exact: false }).waitFor();
  await confirm('Disable');
  await page.getByText('Nothing new is queued for it while it is off.').waitFor();
  await press('Enable');
  await page.getByText('Nothing new is queued for it while it is off.').waitFor({ state: 'detached' });

  await press('Delete');
  await dialog.getByText('Its receiver is told nothing any more.', { exact: false }).waitFor();
  await takePictures(page, 'webhook-delete');
  await confirm('Delete');
  await page.getByRole('heading', { name: 'Webhooks', level: 1 }).waitFor();
  await page.getByRole('link', { name: 'operations' }).waitFor({ state: 'detached' });

  await page.getByRole('link', { name: CONFIGURED.name }).click();
  await page.getByText('It stands in the configuration file').waitFor();
  for (const name of ['Edit', 'Rotate the secret', 'Delete'])
    assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name);
  assert.equal(await page.getByRole('button', { name: 'Disable', exact: true }).count(), 1);
  assert.deepEqual(faults, []);
});

test('a viewer sees whom it tells, but no path and no buttons', async (t) => {
  const engine = await start(t);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const { page, faults } = await enter(browser, engine, 'viewer', 'viewer');
  await goTo(page, 'Webhooks');
  await page.getByRole('link', { name: CONFIGURED.name }).click();
  await page.getByText('https://hooks.example.com', { exact: true }).waitFor();
  assert.ok(!(await page.content()).includes('path-with-a-key'));
  assert.equal(await page.getByRole('main').getByRole('button').count(), 0);
  await takePictures(page, 'webhook-viewer');
  await goTo(page, 'Settings');
  assert.equal(await page.getByRole('button', { name: 'Back up now' }).count(), 0);
  assert.deepEqual(faults, []);
});

test('a backup is downloaded under a passphrase that is given twice', async (t) => {
  const engine = await start(t);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const { page, faults } = await enter(browser, engine, 'owner');
  const place = mkdtempSync(join(tmpdir(), 'rstream-browser-'));
  t.after(() => rmSync(place, { recursive: true, force: true }));
  await goTo(page, 'Settings');
  await page.getByRole('button', { name: 'Back up now' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Passphrase', { exact: false }).first().fill('a long way home 42');
  await dialog.getByLabel('The passphrase again').fill('a long way home 43');
  await dialog.getByRole('button', { name: 'Make and download' }).click();
  await dialog.getByText('The two are not the same.').waitFor();
  await takePictures(page, 'backup');
  await dialog.getByLabel('The passphrase again').fill('a long way home 42');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    dialog.getByRole('button', { name: 'Make and download' }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^rstream-engine-\d{8}-\d{6}\.backup$/);
  const file = join(place, 'backup');
  await download.saveAs(file);
  const paths = readBackup(file, place, new Secret('a long way home 42')).map(({ path }) => path);
  assert.ok(paths.includes('engine.db') && paths.includes('config.yaml') && paths.includes('webhooks.db'));
  await page.getByText('was downloaded.').waitFor();
  assert.ok(!(await page.content()).includes('a long way home'));
  await page.getByText('was downloaded.').scrollIntoViewIfNeeded();
  await takePictures(page, 'backup-done');
  assert.deepEqual(faults, []);
});
