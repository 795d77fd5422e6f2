/** Chromium against a whole engine in this process, with the admin page served as an operator gets it. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { testCertificates } from '../support/certificates.ts';

const EXECUTABLE = '/usr/bin/chromium';
const SCREENSHOTS = fileURLToPath(new URL('.screenshots', import.meta.url));
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** A browser that accepts our test certificate and these, in PEM, and no other that is not signed. */
export const openBrowser = async (...more: readonly string[]): Promise<Browser> => {
  const { cert } = await testCertificates();
  const hashOf = (pem: string) =>
    createHash('sha256')
      .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64');
  const hashes = [cert, ...more].map(hashOf).join(',');
  return chromium.launch({
    executablePath: EXECUTABLE,
    // Containers and root have no sandbox and little shared memory; only our own page is loaded.
    args: ['--no-sandbox', '--disable-dev-shm-usage', `--ignore-certificate-errors-spki-list=${hashes}`],
  });
};

/** A page whose console and network are watched: a violated policy, an error or a request elsewhere fails the test. */
export const openPage = async (context: BrowserContext): Promise<{ page: Page; faults: string[] }> => {
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A refusal that the page shows is written by the browser as well.
    if (message.type() === 'error' && !/status of (?:4\d\d|503)/.test(message.text()))
      faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const { hostname } = new URL(request.url());
    if (hostname !== 'localhost' && !request.url().startsWith('data:'))
      faults.push(`request elsewhere: ${request.url()}`);
  });
  return { page, faults };
};

/** Throws when axe-core finds something that keeps people out. */
export const assertAccessible = async (page: Page): Promise<void> => {
  // Not as a script element, which the policy of the page refuses.
  const { violations } = (await page.evaluate(`${readFileSync(AXE, 'utf8')}; axe.run(document)`)) as {
    violations: { id: string; help: string; nodes: { html: string }[] }[];
  };
  assert.deepEqual(
    violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`),
    [],
  );
};

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1_280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1_280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
} as const;

/** Pictures in light, dark and phone width, each checked for accessibility and for being as wide as the window. */
export const takePictures = async (page: Page, name: string): Promise<void> => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [look, { colorScheme, viewport }] of Object.entries(LOOKS)) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${look}.png`), fullPage: true });
    await assertAccessible(page);
    const width = await page.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(width) <= viewport.width, `${name} is wider than a ${look} window: ${width}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(LOOKS.light.viewport);
};
