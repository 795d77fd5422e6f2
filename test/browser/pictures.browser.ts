/** The pictures of docs/admin-page.md, of an engine as an operator has one; written on request alone (run.ts). */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { createClock } from '../../src/base/time.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { startAdminEngine } from '../engine/ask-admin.ts';
import type { TestEngine } from '../support/engine.ts';
import { openBrowser } from './page.ts';
import { enter, goTo } from './visit.ts';

const DIRECTORY = fileURLToPath(new URL('../../docs/pictures', import.meta.url));
const SIZE = { width: 900, height: 500 };
// They are in the repository for good.
const PICTURE_BYTES_MAX = 61_440;

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

const takePicture = async (of: Page | Locator, name: string) => {
  const picture = await of.screenshot();
  assert.ok(picture.length <= PICTURE_BYTES_MAX, `${name} has ${picture.length} bytes`);
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(join(DIRECTORY, `${name}.png`), picture);
};

const openTunnels = async (engine: TestEngine) => {
  const web = await engine.connectAgent({
    token: await engine.createToken('shop server'),
    clientDetails: { agent: 'rstream', version: '1.28.2', os: 'linux', arch: 'amd64' },
  });
  await web.openTunnel({
    name: 'shop',
    hostname: 'shop',
    publish: true,
    protocol: 'http',
    labels: { team: 'web' },
  });
  await web.openTunnel({
    name: 'staging',
    hostname: 'staging',
    publish: true,
    protocol: 'http',
    tokenAuth: true,
    labels: { team: 'web' },
  });
  const home = await engine.connectAgent({
    token: await engine.createToken('home server'),
    clientDetails: { agent: 'rstream-engine-ce', version: '0.1.0', os: 'linux', arch: 'arm64' },
  });
  await home.openTunnel({
    name: 'grafana',
    hostname: 'grafana',
    publish: true,
    protocol: 'http',
    mtlsAuth: true,
  });
  await home.openTunnel({ name: 'database', publish: false });
};

test('pictures for the documentation', async (t) => {
  const engine = await startAdminEngine(t);
  const authority = await createAuthority({ host: 'localhost', clock: createClock() });
  writeFileSync(join(engine.directory, 'ca.pem'), authority.caCertificate);
  writeFileSync(join(engine.directory, 'ca-key.pem'), authority.caKey);
  await openTunnels(engine);
  const { page } = await enter(browser, engine, 'owner');
  await page.setViewportSize(SIZE);
  await page
    .locator('.numbers .card')
    .filter({ hasText: /^4tunnels$/ })
    .waitFor();
  await takePicture(page, 'overview');
  await page.setViewportSize({ width: 1_200, height: 320 });
  await goTo(page, 'Tunnels');
  await page.getByText('database').waitFor();
  await takePicture(page, 'tunnels');
  await page.setViewportSize(SIZE);
  await page.getByRole('link', { name: 'staging', exact: true }).click();
  await page.getByRole('heading', { name: 'staging' }).waitFor();
  await takePicture(page, 'tunnel');
  await goTo(page, 'Tokens');
  await page.getByRole('button', { name: 'Revoke' }).first().click();
  await page.getByText('Within a second it cuts').waitFor();
  await takePicture(page.getByRole('dialog'), 'revoke');
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 900, height: 640 });
  await goTo(page, 'Client certificates');
  await page.getByRole('button', { name: 'Issue a certificate' }).click();
  await page.getByLabel('Name').fill('phone');
  await page.getByRole('dialog').getByRole('button', { name: 'Issue a certificate' }).click();
  await page.getByText('Password of the bundle').waitFor();
  await takePicture(page.getByRole('dialog'), 'certificate');
});
