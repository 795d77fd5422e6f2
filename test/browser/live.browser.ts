/** The admin page while things change: what it hears of, what it says when it hears nothing, and lists of thousands. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { LIMITS } from '../../src/base/limits.ts';
import { PASSWORD, startAdminEngine, withAdmins } from '../engine/ask-admin.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { openBrowser, takePictures } from './page.ts';
import { enter, goTo } from './visit.ts';

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Marks the document; what comes to a marked document has come without loading it again. */
const mark = (page: Page) => page.evaluate('document.isMarked = true');
const isMarked = (page: Page) => page.evaluate('document.isMarked === true');

/** What a browser says by itself when an engine is gone. */
const isExpected = (fault: string) => /ERR_CONNECTION_(?:REFUSED|RESET)|WebSocket connection/.test(fault);

const startSuccessor = (t: Parameters<typeof startEngine>[0], engine: TestEngine) =>
  startEngine(t, {
    successorOf: engine,
    settings: { admin: { enabled: true, listen_addr: `127.0.0.1:${engine.adminPort}` } },
  });

/** Adds up how much of the window has jumped (the layout-shift entries of browsers); below 0.1 nobody minds. */
const WATCH_SHIFTS = `
  document.shift = 0;
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) document.shift += value;
  }).observe({ type: 'layout-shift' });
`;

/** From a letter in the filter to the frame that shows what it finds: the median, as others use this machine as well. */
const MEASURE_FILTER = `(async () => {
  const box = document.querySelector('input.filter');
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const times = [];
  for (const text of ['w', 'we', 'web', 'web-', 'web-a', 'web-', 'web', 'we', 'w', '']) {
    const startMs = performance.now();
    box.value = text;
    box.dispatchEvent(new Event('input', { bubbles: true }));
    await frame();
    await frame();
    times.push(performance.now() - startMs);
  }
  return times.sort((a, b) => a - b)[5];
})()`;

describe('the admin page, live,', () => {
  test('shows what comes and goes without being loaded again', async (t) => {
    const engine = await startAdminEngine(t);
    const { page, faults, context } = await enter(browser, engine, 'owner');
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await mark(page);
    await goTo(page, 'Tunnels');
    await page.getByText('No tunnel is open').waitFor();
    await page.evaluate(WATCH_SHIFTS);
    const agent = await engine.connectAgent();
    await agent.openTunnel({
      name: 'shop',
      hostname: 'shop',
      publish: true,
      protocol: 'http',
      tokenAuth: true,
    });
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();
    const shift = Number(await page.evaluate('document.shift'));
    assert.ok(shift < 0.1, `the layout jumped by ${shift}`);
    await page.getByRole('link', { name: 'shop', exact: true }).click();
    await page.getByRole('heading', { name: 'shop' }).waitFor();
    await page.getByRole('img', { name: 'The address, for a phone.' }).waitFor();
    await page.getByRole('button', { name: 'Copy https://shop' }).click();
    await page.getByText('Copied').waitFor();
    const copied = await page.evaluate('navigator.clipboard.readText()');
    assert.equal(copied, `https://shop.t.localhost:${engine.port}`);
    await takePictures(page, 'tunnel');
    await goTo(page, 'Overview');
    await page
      .locator('.numbers .card')
      .filter({ hasText: /^1tunnels$/ })
      .waitFor();
    await page.goBack();
    agent.kill();
    await page.getByText('This tunnel has closed.').waitFor();
    await goTo(page, 'Agents');
    await page.getByText('No agent is connected').waitFor();
    assert.equal(await isMarked(page), true);
    assert.deepEqual(faults, []);
  });

  test('says since when it knows nothing, and goes on after a restart of the engine', async (t) => {
    const engine = await startAdminEngine(t);
    const before = await engine.connectAgent();
    await before.openTunnel({ name: 'before', publish: false });
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Tunnels');
    await page.getByText('before').waitFor();
    await mark(page);
    await engine.stop();
    await page.getByText('Not up to date since').waitFor();
    await takePictures(page, 'stale');
    const successor = await startSuccessor(t, engine);
    const agent = await successor.connectAgent();
    await agent.openTunnel({ name: 'afterwards', publish: false });
    await page.getByText('afterwards').waitFor();
    assert.equal(await page.getByText('Not up to date since').count(), 0);
    assert.equal(await page.getByText('before').count(), 0);
    assert.equal(await isMarked(page), true);
    assert.deepEqual(
      faults.filter((fault) => !isExpected(fault)),
      [],
    );
  });

  test('asks to log in when the session ends, and comes back to where it was', async (t) => {
    const engine = await startAdminEngine(t);
    const { page } = await enter(browser, engine, 'owner');
    await goTo(page, 'Client certificates');
    await withAdmins(engine, (admins) => {
      for (const { id } of admins.sessions()) admins.endSession(id);
    });
    await page.getByText('Your session has ended.').waitFor({ timeout: 3_000 });
    await takePictures(page, 'session-ended');
    await page.getByLabel('Name').fill('owner');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Client certificates', level: 1 }).waitFor();
  });

  test('lists 2,000 tunnels without lag', async (t) => {
    const engine = await startAdminEngine(t);
    for (const zone of ['a', 'b']) {
      const agent = await engine.connectAgent();
      for (let i = 0; i < LIMITS.tunnelsPerSessionMax; i += 1)
        await agent.openTunnel({
          name: `web-${zone}-${i}`,
          publish: true,
          protocol: 'http',
          labels: { zone, ...(i % 100 === 0 && { tier: 'gold' }) },
        });
    }
    const { page, faults } = await enter(browser, engine, 'owner');
    await goTo(page, 'Tunnels');
    const rows = page.locator('tbody tr');
    await page.getByText('1–100 of 2000').waitFor();
    assert.equal(await rows.count(), 100);
    await takePictures(page, 'tunnels-many');
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('101–200 of 2000').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('zone=b gold');
    await page.getByText('1–10 of 10, of 2000 in all').waitFor();
    // Numbers in names count as numbers.
    assert.match((await rows.nth(1).textContent()) ?? '', /^web-b-100/);
    await page.getByRole('button', { name: 'Name' }).click();
    assert.match((await rows.first().textContent()) ?? '', /^web-b-900/);
    await page.getByLabel('Filter').fill('');
    await page.getByRole('button', { name: 'tier=gold' }).first().click();
    await page.getByText('1–20 of 20, of 2000 in all').waitFor();
    // Who comes back from a tunnel finds the list as it was.
    await rows.first().getByRole('link').first().click();
    await page.getByRole('link', { name: 'All tunnels' }).click();
    await page.getByText('1–20 of 20, of 2000 in all').waitFor();
    const medianMs = (await page.evaluate(MEASURE_FILTER)) as number;
    assert.ok(medianMs < 150, `a letter in the filter takes ${medianMs} ms until it is drawn`);
    assert.deepEqual(faults, []);
  });
});
