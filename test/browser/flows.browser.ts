/** What operators do on the other pages: agents, hostile credentials, certificates by PEM, and who may log in. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { PASSWORD, startAdminEngine, withAdmins } from '../engine/ask-admin.ts';
import { createTestPair } from '../support/certificates.ts';
import { openBrowser, openPage, takePictures } from './page.ts';
import { choosePassword, enter, goTo } from './visit.ts';

const HOSTILE = `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`;

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

describe('the admin page, from day to day,', () => {
  test('disconnects an agent, after it said what ends', async (t) => {
    const engine = await startAdminEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ name: 'database', publish: false });
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Agents');
    await page.getByRole('button', { name: 'Disconnect' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('1 tunnel of it end').waitFor();
    await takePictures(page, 'agent-disconnect');
    await dialog.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByText('No agent is connected').waitFor();
    await agent.next('channel-closed');
    assert.deepEqual(faults, []);
  });

  test('shows a hostile name of a token as text, from making to revoking and in the audit log', async (t) => {
    const engine = await startAdminEngine(t);
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Tokens');
    await page.getByRole('button', { name: 'Create a token' }).click();
    await page.getByLabel('Name').fill(HOSTILE);
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: `The token of ${HOSTILE}` }).waitFor();
    const token = (await dialog.locator('code').first().textContent()) ?? '';
    await dialog.getByRole('button', { name: 'Done' }).click();

    await page.getByRole('button', { name: 'Rotate' }).click();
    await dialog.getByLabel('The old one stays valid for').selectOption('no time at all');
    await dialog.getByRole('button', { name: 'Rotate' }).click();
    await dialog.getByText('This is shown only now.').waitFor();
    const next = (await dialog.locator('code').first().textContent()) ?? '';
    await dialog.getByRole('button', { name: 'Done' }).click();
    await assert.rejects(engine.connectAgent({ token }));
    await engine.connectAgent({ token: next });

    await page.getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByRole('heading', { name: `Revoke ${HOSTILE}?` }).waitFor();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('revoked', { exact: true }).waitFor();
    await goTo(page, 'Audit');
    await page.getByText('onerror').first().waitFor();
    assert.equal(await page.locator('#app img, #app script').count(), 0);
    await takePictures(page, 'audit-hostile');
    assert.deepEqual(faults, []);
  });

  test('adds a client certificate by PEM, and says why it cannot', async (t) => {
    const engine = await startAdminEngine(t);
    const { cert } = await createTestPair(HOSTILE);
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Client certificates');
    await page.getByRole('button', { name: 'Add one by PEM' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('door');
    await dialog.getByLabel('Certificate in PEM').fill('nonsense');
    await dialog.getByRole('button', { name: 'Add one by PEM' }).click();
    await dialog.getByRole('alert').waitFor();
    await takePictures(page, 'certificate-refused');
    await dialog.getByLabel('Certificate in PEM').fill(cert);
    await dialog.getByRole('button', { name: 'Add one by PEM' }).click();
    await page.getByRole('row').filter({ hasText: 'door' }).getByText('live').waitFor();
    assert.deepEqual(faults, []);
  });

  test('lets another person in by a link, changes what they may do, and shows them out', async (t) => {
    const engine = await startAdminEngine(t);
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Settings');
    await page.getByRole('button', { name: 'Let somebody log in' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('guest');
    await dialog.getByLabel('Role').selectOption('viewer');
    await dialog.getByRole('button', { name: 'Let somebody log in' }).click();
    await dialog.getByText('Good for one login within 15 minutes.').waitFor();
    await takePictures(page, 'admin-link');
    const link = (await dialog.locator('code').textContent()) ?? '';
    await dialog.getByRole('button', { name: 'Done' }).click();

    const theirs = await openPage(await browser.newContext());
    await theirs.page.goto(link);
    await choosePassword(theirs.page);
    await theirs.page.getByText('You are a viewer').waitFor();

    const row = page.getByRole('row').filter({ hasText: 'guest' });
    // The list has to know of their login first: who changes what was changed meanwhile is refused.
    await row.getByText('password', { exact: true }).waitFor();
    await row.getByRole('button', { name: 'Make admin' }).click();
    await dialog.getByRole('button', { name: 'Make admin' }).click();
    await row.getByRole('button', { name: 'Make viewer' }).waitFor();
    // Their page follows without being loaded again, wherever they are.
    await theirs.page.getByText('You are a viewer').waitFor({ state: 'detached', timeout: 5_000 });
    await row.getByRole('button', { name: 'Make viewer' }).click();
    await dialog.getByRole('button', { name: 'Make viewer' }).click();
    await theirs.page.getByText('You are a viewer').waitFor({ timeout: 5_000 });
    await row.getByRole('button', { name: 'Remove' }).click();
    await dialog.getByText('All sessions of this person end at once.').waitFor();
    await takePictures(page, 'settings-people');
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await row.first().waitFor({ state: 'detached' });
    await theirs.page.getByText('Your session has ended.').waitFor({ timeout: 3_000 });
    assert.deepEqual([...faults, ...theirs.faults], []);
  });

  test('refuses a link that was used, and a wrong password, in words', async (t) => {
    const engine = await startAdminEngine(t);
    const { link } = await withAdmins(engine, (admins) => admins.create({ name: 'owner', role: 'admin' }));
    const address = `https://localhost:${engine.adminPort}/#link=${link.reveal()}`;
    const first = await openPage(await browser.newContext());
    await first.page.goto(address);
    await choosePassword(first.page);
    const { page, faults } = await openPage(await browser.newContext());
    await page.goto(address);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByLabel('The same again').fill(PASSWORD);
    await page.getByRole('button', { name: 'Set the password and log in' }).click();
    await page.getByRole('alert').waitFor();
    await takePictures(page, 'link-used');
    await page.goto(`https://localhost:${engine.adminPort}/?again`);
    await page.getByLabel('Name').fill('owner');
    await page.getByLabel('Password').fill('not the right one');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor();
    await takePictures(page, 'login-refused');
    assert.deepEqual([...faults, ...first.faults], []);
  });
});
