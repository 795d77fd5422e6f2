/** The pictures of docs/admin-page.md, of an engine as an operator has one; written on request alone (run.ts). */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Locator, Page } from 'playwright-core';
import { createClock } from '../../src/base/time.ts';
import { createAuthority } from '../../src/store/authority.ts';
import { startAdminEngine } from '../engine/ask-admin.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { freePort } from '../support/free-port.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';
import { openBrowser } from './page.ts';
import { enter, goTo } from './visit.ts';

const DIRECTORY = fileURLToPath(new URL('../../docs/pictures', import.meta.url));
const SIZE = { width: 1_000, height: 560 };
const WIDE = { width: 1_180, height: 800 };
// They are in the repository for good.
const PICTURE_BYTES_MAX = 61_440;

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

type Clip = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

const takePicture = async (of: Page | Locator, name: string, clip?: Clip) => {
  const picture = await of.screenshot({ ...(clip && { clip }) });
  assert.ok(picture.length <= PICTURE_BYTES_MAX, `${name} has ${picture.length} bytes`);
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(join(DIRECTORY, `${name}.png`), picture);
};

/** A page beside its navigation, in a window wide enough for tables; what is below `height` is left out. */
const takeWidePicture = async (page: Page, name: string, height: number) => {
  const { x = 0 } = (await page.locator('main').boundingBox()) ?? {};
  await takePicture(page, name, { x, y: 0, width: (page.viewportSize() ?? WIDE).width - x, height });
};

/** Services behind agents: most answer, that of staging is down. */
const openTunnels = async (t: TestContext, engine: TestEngine) => {
  const upstream = await startHttpUpstream(t, (request, response) =>
    response.writeHead(request.url === '/cart' ? 404 : 200).end('x'.repeat(20_000)),
  );
  const labels = { team: 'web' };
  await engine.publish(upstream, { name: 'shop', hostname: 'shop', labels });
  await engine.publish(
    { port: await freePort() },
    { name: 'staging', hostname: 'staging', tokenAuth: true, labels },
  );
  await engine.publish(upstream, { name: 'grafana', hostname: 'grafana', mtlsAuth: true });
  await engine.publish(upstream, { name: 'database', publish: false });
  const home = await engine.connectAgent({
    token: await engine.createToken('home server'),
    clientDetails: { agent: 'rstream', version: '1.28.2', os: 'linux', arch: 'arm64' },
  });
  return { home };
};

const visitShop = async (engine: TestEngine) => {
  for (let round = 0; round < 20; round += 1) {
    for (const path of ['/', '/products', ...(round % 4 === 0 ? ['/cart', '/', '/products'] : [])])
      await fetchThrough(engine, 'shop.t.localhost', path);
    await fetchThrough(engine, 'nobody.t.localhost', '/').catch(() => {});
  }
};

test('pictures for the documentation', async (t) => {
  const engine = await startAdminEngine(
    t,
    { probes: { interval_seconds: 1, deadline_seconds: 5 } },
    { clock: createHurriedClock(), hasConfigFile: true },
  );
  const authority = await createAuthority({ host: 'localhost', clock: createClock() });
  writeFileSync(join(engine.directory, 'ca.pem'), authority.caCertificate);
  writeFileSync(join(engine.directory, 'ca-key.pem'), authority.caKey);
  const { home } = await openTunnels(t, engine);
  const { page } = await enter(browser, engine, 'owner');
  await page.setViewportSize(WIDE);
  await visitShop(engine);
  await page.getByRole('link', { name: '1 down' }).waitFor({ timeout: 15_000 });
  await page.getByText(/^requests: .* now, [1-9].* at most/).waitFor();
  await takeWidePicture(page, 'overview', 400);
  await takePicture(page.locator('.charts'), 'charts');

  await page.setViewportSize({ ...WIDE, width: 1_280 });
  await goTo(page, 'Tunnels');
  await page.getByRole('button', { name: 'Works' }).click();
  await page.getByText('down', { exact: true }).click();
  await page.getByText('could not reach the service').waitFor();
  await page.evaluate('scrollTo(0, 0)');
  await takeWidePicture(page, 'tunnels', 330);
  await page.getByText('down', { exact: true }).click();

  await page.setViewportSize({ width: 900, height: 640 });
  await page.getByRole('link', { name: 'shop', exact: true }).click();
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();
  await takePicture(page, 'tunnel');

  await page.setViewportSize(WIDE);
  await goTo(page, 'Records');
  await page.getByText('/products').first().waitFor();
  await takeWidePicture(page, 'records', 520);

  await goTo(page, 'Policy');
  await page.getByLabel('Addresses and ranges').fill('192.0.2.0/24');
  await page.getByRole('button', { name: 'Try the draft' }).click();
  await page.getByText('ADDRESS_FORBIDDEN').first().waitFor();
  await page.evaluate("document.querySelector('.report').scrollIntoView()");
  await takeWidePicture(page, 'policy', 520);

  // It answers no probe, so it comes after the pictures of what works.
  await home.openTunnel({ name: 'notes', publish: false });
  await page.setViewportSize(SIZE);
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
