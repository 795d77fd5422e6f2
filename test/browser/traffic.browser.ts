/** Charts, records and the policy in a real browser, over real traffic. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { startAdminEngine } from '../engine/ask-admin.ts';
import { fetchThrough, startRequest } from '../support/downstream.ts';
import { type EngineOptions, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { createHurriedClock } from '../support/hurried-clock.ts';
import { openBrowser, takePictures } from './page.ts';
import { enter, goTo } from './visit.ts';

const HOSTNAME = 'shop.t.localhost';
const HOSTILE_TEXT = `<img src=x onerror=alert(1)>"'><script>alert(2)</script>`;
const HOSTILE = '/<img%20src=x%20onerror=alert(1)>';

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

const startShop = async (
  t: TestContext,
  settings: EngineOptions['settings'] = {},
  options: Omit<EngineOptions, 'settings'> = {},
) => {
  const engine = await startAdminEngine(t, settings, options);
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/endless') response.write('begun');
    else response.writeHead(request.url === '/missing' ? 404 : 200).end('x'.repeat(20_000));
  });
  await engine.publish(upstream, { hostname: 'shop', name: 'shop' });
  const visit = async (...paths: string[]) => {
    for (const path of paths) await fetchThrough(engine, HOSTNAME, path);
  };
  return { engine, visit };
};

const keptCount = ({ engine }: TestEngine) => engine.records?.search({ limit: 100 }).length ?? 0;

describe('the overview', () => {
  test('draws what ran through under a strict policy, and says the same in words', async (t) => {
    const { engine, visit } = await startShop(t, {}, { clock: createHurriedClock() });
    const { page, faults } = await enter(browser, engine, 'owner');
    for (let round = 0; round < 25; round += 1) {
      await visit('/', '/page', ...(round % 4 === 0 ? ['/missing', '/page', '/', '/page'] : []));
      await fetchThrough(engine, 'nobody.t.localhost', '/').catch(() => {});
    }
    await page.locator('.plot canvas').nth(3).waitFor();
    await page.getByText(/^requests: .* now, [1-9].* at most, .* on average/).waitFor();
    await page.getByText('SERVER_NAME_UNKNOWN').waitFor();
    await page.getByText('TLS 1.3').waitFor();
    await page.locator('.plot').first().hover();
    await page.evaluate("document.querySelector('.traffic').scrollIntoView()");
    await takePictures(page, 'overview-charts');
    await page.locator('.passports').scrollIntoViewIfNeeded();
    await takePictures(page, 'overview-passport');
    await page.getByRole('button', { name: 'Last day' }).click();
    await page.locator('button[aria-pressed="true"]').getByText('Last day').waitFor();
    assert.equal(await page.locator('main [style*="url"], main script, main style').count(), 0);
    assert.deepEqual(faults, []);
  });
});

describe('records', () => {
  test('are found by filters that stay in the address, shown in full and exported', async (t) => {
    const { engine, visit } = await startShop(t);
    await visit('/', '/page?token=hunter2', HOSTILE);
    await fetchThrough(engine, HOSTNAME, '/missing', { headers: { 'user-agent': HOSTILE_TEXT } });
    await eventually(() => keptCount(engine) >= 4, 'records');
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Tunnels');
    await page.getByRole('link', { name: 'shop', exact: true }).click();
    await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();
    await page.getByRole('main').getByRole('link', { name: 'Records' }).click();
    await page.getByRole('heading', { name: 'Records', level: 1 }).waitFor();
    await page.getByText('onerror').waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.ok(!(await page.content()).includes('hunter2'));
    await takePictures(page, 'records');

    await page.getByLabel('Status').fill('4xx');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('onerror').waitFor({ state: 'detached' });
    assert.match(String(await page.evaluate('location.hash')), /status=4xx/);
    await page.reload();
    await page.getByText('/missing').waitFor();
    assert.equal(await page.getByLabel('Status').inputValue(), '4xx');
    await page.getByRole('button', { name: 'Details' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('TLSv1.3').waitFor();
    await dialog.getByText(HOSTILE_TEXT).waitFor();
    assert.equal(await page.locator('dialog img, dialog script').count(), 0);
    await takePictures(page, 'record');
    await dialog.getByRole('button', { name: 'Close' }).click();

    const downloading = page.waitForEvent('download');
    await page.getByRole('link', { name: 'CSV' }).click();
    const text = readFileSync(await (await downloading).path(), 'utf8');
    assert.equal(text.trim().split('\r\n').length, 2);
    // A host that somebody else has written into the address.
    await page.evaluate(
      `location.hash = '#/records?host=' + encodeURIComponent(${JSON.stringify(HOSTILE_TEXT)})`,
    );
    await page.getByText('No record fits.').waitFor();
    assert.equal(await page.getByLabel('Host').inputValue(), HOSTILE_TEXT);
    assert.equal(await page.locator('main img, main script').count(), 0);
    await page.getByLabel('Status').fill('teapot');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('alert').getByText('must be a status').waitFor();
    assert.deepEqual(faults, []);
  });

  test('that are not kept are missed in words', async (t) => {
    const { engine } = await startShop(t, { records: { enabled: false } });
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Records');
    await page.getByText('Set records.enabled').waitFor();
    await takePictures(page, 'records-off');
    assert.deepEqual(faults, []);
  });
});

describe('the policy', () => {
  test('is tried before it is saved, and holds then', async (t) => {
    const { engine, visit } = await startShop(t, {}, { hasConfigFile: true });
    await visit('/', '/page');
    const running = startRequest(engine, HOSTNAME, '/endless');
    running.on('error', () => {}).end();
    t.after(() => running.destroy());
    const [response] = await once(running, 'response');
    response.on('error', () => {}).resume();
    await eventually(() => keptCount(engine) >= 2, 'records');
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Policy');
    await takePictures(page, 'policy');
    await page.getByLabel('Addresses and ranges').fill('nonsense');
    await page.getByRole('button', { name: 'Try the draft' }).click();
    await page.getByText('policy.trusted_ips.0').waitFor();

    await page.getByLabel('Addresses and ranges').fill('192.0.2.0/24');
    await page.getByRole('button', { name: 'Try the draft' }).click();
    await page.getByRole('heading', { name: 'Who would be cut off (2)' }).waitFor();
    await page.getByRole('heading', { name: 'What runs now and would end (1)' }).waitFor();
    await page.getByText('ADDRESS_FORBIDDEN').first().waitFor();
    await page.getByRole('heading', { name: 'What the draft would do' }).scrollIntoViewIfNeeded();
    await takePictures(page, 'policy-tried');
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 200);

    await page.getByRole('button', { name: 'Save and put into force' }).click();
    await page.getByText('1 running connection will end').waitFor();
    await takePictures(page, 'policy-save');
    await page.getByRole('dialog').getByRole('button', { name: 'Save and put into force' }).click();
    await page.getByText('Saved, and in force.').waitFor();
    assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 403);
    assert.equal(await page.getByLabel('Addresses and ranges').inputValue(), '192.0.2.0/24');
    await goTo(page, 'Audit');
    await page.getByText('policy.save').first().waitFor();
    assert.deepEqual(faults, []);
  });

  test('can be tried by a viewer, who is offered no saving', async (t) => {
    const { engine } = await startShop(t, {}, { hasConfigFile: true });
    const { page, faults } = await enter(browser, engine, 'guest', 'viewer');
    await goTo(page, 'Policy');
    await page.getByLabel('Publish only tunnels').check();
    await page.getByRole('button', { name: 'Try the draft' }).click();
    await page.getByRole('heading', { name: 'Open tunnels that would let nobody in (1)' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Save and put into force' }).count(), 0);
    assert.deepEqual(faults, []);
  });
});
