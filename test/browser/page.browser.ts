/** The admin page in a real browser, against a real engine with real agents. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { TOTP } from 'otpauth';
import type { Browser, Page } from 'playwright-core';
import { buildPage } from '../../scripts/build-page.mjs';
import { PASSWORD, startAdminEngine, withAdmins } from '../engine/ask-admin.ts';
import type { TestEngine } from '../support/engine.ts';
import { freePort } from '../support/free-port.ts';
import { openBrowser, openPage, takePictures } from './page.ts';

const HOSTILE = `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`;

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** A browser of its own at the first login of somebody. */
const openLink = async (engine: TestEngine, name: string, role: 'admin' | 'viewer' = 'admin') => {
  const { link } = await withAdmins(engine, (admins) => admins.create({ name, role }));
  const context = await browser.newContext();
  const { page, faults } = await openPage(context);
  await page.goto(`https://localhost:${engine.adminPort}/#link=${link.reveal()}`);
  return { context, page, faults };
};

const choosePassword = async (page: Page) => {
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByLabel('The same again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set the password and log in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
};

const goTo = async (page: Page, name: string) => {
  await page.getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
};

describe('the admin page', () => {
  test('is small', async () => {
    const files = await buildPage();
    const bytes = [...files.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
    assert.ok(bytes <= 150 * 1_024, `${bytes} bytes`);
  });

  test('lets somebody in by a link that leaves the address, and later by password and code', async (t) => {
    const engine = await startAdminEngine(t);
    const { page, faults } = await openLink(engine, 'owner');
    assert.equal(await page.evaluate('location.href'), `https://localhost:${engine.adminPort}/`);
    await takePictures(page, 'first-login');
    await choosePassword(page);
    await takePictures(page, 'overview');
    for (const storage of ['localStorage', 'sessionStorage', 'document.cookie'])
      assert.equal(await page.evaluate(`${storage}.length`), 0, storage);

    await goTo(page, 'Settings');
    await page.getByRole('button', { name: 'Ask for a code as well' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Ask for a code as well' }).click();
    const secret = (await dialog.locator('code').textContent()) ?? '';
    const codeAt = (ms: number) => new TOTP({ secret }).generate({ timestamp: ms });
    await dialog.getByLabel('Code').fill(codeAt(Date.now()));
    await dialog.getByLabel('Present password').fill(PASSWORD);
    await dialog.getByRole('button', { name: 'Ask for a code as well' }).click();
    await page.getByText('A code of your authenticator app is asked for.').waitFor();
    await takePictures(page, 'settings');

    await page.getByRole('button', { name: 'Log out' }).first().click();
    await page.getByLabel('Name').fill('owner');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByLabel('Code').fill(codeAt(Date.now() + 30_000));
    await takePictures(page, 'login');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    assert.deepEqual(faults, []);
  });

  test('makes a token that an agent uses at once, and cuts the agent with it', async (t) => {
    const engine = await startAdminEngine(t);
    const { page, faults } = await openLink(engine, 'owner');
    await choosePassword(page);
    await goTo(page, 'Tokens');
    await takePictures(page, 'tokens-empty');
    await page.getByRole('button', { name: 'Create a token' }).click();
    await page.getByLabel('Name').fill('laptop');
    await takePictures(page, 'token-create');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    const dialog = page.getByRole('dialog');
    const token = (await dialog.locator('code').first().textContent()) ?? '';
    await dialog.getByText('rstream context create').waitFor();
    await page.getByRole('button', { name: 'Done' }).waitFor();
    await takePictures(page, 'token-made');
    await page.getByRole('button', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(token));

    const agent = await engine.connectAgent({ token });
    await page.getByText('1 agent, 0 tunnels').waitFor();
    await takePictures(page, 'tokens');
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('Within a second it cuts 1 agent').waitFor();
    await takePictures(page, 'token-revoke');
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('revoked', { exact: true }).waitFor();
    await agent.next('channel-closed');
    await goTo(page, 'Audit');
    await page.getByText('pat.revoke').waitFor();
    await page.getByRole('button', { name: 'Check the chain' }).click();
    await page.getByText('Sound:').waitFor();
    await takePictures(page, 'audit');
    assert.deepEqual(faults, []);
  });

  test('shows hostile names as text, and closes tunnels', async (t) => {
    const engine = await startAdminEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({
      name: HOSTILE,
      publish: true,
      protocol: 'http',
      labels: { [HOSTILE]: HOSTILE },
    });
    await agent.openTunnel({
      hostname: 'shop',
      publish: true,
      protocol: 'http',
      trustedIps: ['192.0.2.0/24'],
    });
    await agent.openTunnel({ name: 'database', publish: false });
    const { page, faults } = await openLink(engine, 'owner');
    await choosePassword(page);
    await goTo(page, 'Tunnels');
    await page.getByText('onerror').first().waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    await takePictures(page, 'tunnels');
    await goTo(page, 'Agents');
    await takePictures(page, 'agents');
    await goTo(page, 'Tunnels');
    const row = page.getByRole('row').filter({ hasText: 'shop.t.localhost' });
    await row.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await row.waitFor({ state: 'detached' });
    assert.deepEqual(faults, []);
  });

  test('says of a tunnel in words whether it works, and what failed', async (t) => {
    const engine = await startAdminEngine(t, { probes: { interval_seconds: 1 } });
    await engine.publish({ port: await freePort() }, { hostname: 'shop' });
    const { page, faults } = await openLink(engine, 'guest', 'viewer');
    await choosePassword(page);
    await goTo(page, 'Tunnels');
    const row = page.getByRole('row').filter({ hasText: 'shop.t.localhost' });
    await row.getByText('down', { exact: true }).click({ timeout: 15_000 });
    await row.getByText('could not reach the service').waitFor();
    await takePictures(page, 'tunnel-down');
    assert.deepEqual(faults, []);
  });

  test('offers a viewer nothing that changes something, and survives a restart of the engine', async (t) => {
    const engine = await startAdminEngine(t);
    await withAdmins(engine, (admins) => admins.create({ name: 'owner', role: 'admin' }));
    const { page, faults } = await openLink(engine, 'guest', 'viewer');
    await choosePassword(page);
    for (const name of ['Tunnels', 'Agents', 'Tokens', 'Applications', 'Client certificates']) {
      await goTo(page, name);
      assert.equal(await page.locator('main button').count(), 0, name);
    }
    const refused = await page.evaluate(
      `fetch('/api/admin/tokens', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"x","permissions":null}' }).then((r) => r.status)`,
    );
    assert.equal(refused, 403);
    await goTo(page, 'Overview');
    await engine.stop();
    await page.getByText('Not up to date since').waitFor({ timeout: 15_000 });
    await takePictures(page, 'stale');
    assert.deepEqual(
      faults.filter((fault) => !/ERR_CONNECTION_REFUSED/.test(fault)),
      [],
    );
  });

  test('says that the session has ended', async (t) => {
    const engine = await startAdminEngine(t);
    const { page } = await openLink(engine, 'owner');
    await choosePassword(page);
    await withAdmins(engine, (admins) => {
      for (const { id } of admins.sessions()) admins.endSession(id);
    });
    await page.getByText('Your session has ended.').waitFor({ timeout: 15_000 });
  });
});
