/** The inspector of a tunnel in a real browser, with what hostile downstreams and upstreams may send. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { logIn, startAdminEngine } from '../engine/ask-admin.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { openBrowser, openPage, takePictures } from './page.ts';

const HOSTILE = `<img src=x onerror=alert(1)>"'></textarea></pre><script>alert(2)</script>`;
const SECRET = 'hunter2';

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

const openTunnels = async (engine: TestEngine) => {
  const { cookie, origin } = await logIn(engine, 'owner');
  const context = await browser.newContext({ acceptDownloads: true });
  const [name = '', value = ''] = cookie.split(/=(.*)/s);
  await context.addCookies([
    { name, value, url: origin, secure: true, httpOnly: true, sameSite: 'Strict' as const },
  ]);
  const { page, faults } = await openPage(context);
  await page.goto(`${origin}/#/tunnels`);
  await page.getByRole('heading', { name: 'Tunnels', level: 1 }).waitFor();
  return { page, faults };
};

test('an exchange is captured, looked at, downloaded and sent again, and stays text', async (t) => {
  const engine = await startAdminEngine(t, {
    inspector: { enabled: true },
    admin: { enabled: true, listen_addr: '127.0.0.1:0' },
  });
  const asked: IncomingMessage[] = [];
  const upstream = await startHttpUpstream(t, async (request, response) => {
    asked.push(request);
    const body = await readToEnd(request);
    const packed = gzipSync(`${HOSTILE} and ${body}`);
    response.writeHead(200, { 'content-encoding': 'gzip', 'x-hostile': HOSTILE, 'set-cookie': SECRET });
    response.end(packed);
  });
  await engine.publish(upstream, { hostname: 'web', name: HOSTILE });
  const { page, faults } = await openTunnels(engine);
  await page.getByRole('link', { name: HOSTILE, exact: true }).click();
  await page.getByText('nothing is captured').waitFor();
  await takePictures(page, 'inspector-off');
  await page.getByRole('button', { name: 'Start capturing' }).click();
  await page.getByText('Nothing was captured yet.').waitFor();
  await takePictures(page, 'inspector-empty');

  const path = `/${encodeURIComponent(HOSTILE)}?x=%3Cimg%20src=x%3E&token=${SECRET}`;
  await fetchThrough(engine, 'web.t.localhost', path, {
    method: 'POST',
    body: `up ${HOSTILE}`,
    headers: { 'x-hostile': HOSTILE, authorization: `Bearer ${SECRET}` },
  });
  await page.getByRole('button', { name: 'Open number 1' }).click();
  const detail = page.getByRole('region', { name: 'Exchange number 1' });
  await detail.getByText('x-hostile: ').first().waitFor();
  await detail.getByRole('button', { name: 'Show as text: Body of the answer' }).click();
  const shown = detail.getByRole('textbox', { name: 'Body of the answer' });
  await shown.waitFor();
  assert.equal(await shown.inputValue(), `${HOSTILE} and up ${HOSTILE}`);
  assert.equal(await page.locator('main img, main script').count(), 0);
  assert.ok(!(await page.content()).includes(SECRET));
  await takePictures(page, 'inspector-exchange');

  const downloading = page.waitForEvent('download');
  await detail.getByRole('link', { name: 'Download: Body of the request' }).click();
  const download = await downloading;
  assert.match(download.suggestedFilename(), /^exc_\w+-request\.bin$/);
  assert.equal(readFileSync(await download.path(), 'utf8'), `up ${HOSTILE}`);

  await detail.getByRole('button', { name: 'Send again' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('whatever it does with it, it does again').waitFor();
  await takePictures(page, 'inspector-replay');
  await dialog.getByLabel('Header authorization').fill('Bearer anew');
  await dialog.getByRole('button', { name: 'Send again' }).click();
  await detail.getByText('It was sent, and answered: 200').waitFor();
  await page.getByRole('row').filter({ hasText: 'replay' }).waitFor();
  assert.equal(asked.length, 2);
  assert.deepEqual(
    [asked[1]?.headers['x-rstream-replay'], asked[1]?.headers.authorization],
    ['1', 'Bearer anew'],
  );

  await page.getByRole('button', { name: 'Stop and forget' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop and forget' }).click();
  await page.getByText('nothing is captured').waitFor();
  assert.deepEqual(faults, []);
});
