/**
 * A real browser against the published tunnel.
 *
 * Flow: Chromium opens the page; the page runs its steps and posts the outcomes through the tunnel to its own upstream. So nothing has to
 * drive the browser from outside, and a page that does not load is a report that does not come.
 */
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Published } from './published.ts';
import { requireTool } from './tools.ts';
import type { PageReport } from './upstream.ts';

const REPORT_MS_MAX = 90_000;
const STDERR_CHARS_KEPT = 2_000;

// What a browser does of its own accord is no part of the test, and goes nowhere.
const QUIET = [
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-extensions',
  '--disable-quic',
];
// Containers and root have no sandbox, no GPU and little shared memory; only our own page is loaded.
const CONTAINED = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];

/** Accepts our certificate, and no other, although no authority of the browser's signed it. */
const trust = (certificateFile: string): string => {
  const { publicKey } = new X509Certificate(readFileSync(certificateFile));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return `--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`;
};

/** Opens a page until its report is there. */
const browse = async (args: readonly string[], report: Promise<PageReport>): Promise<PageReport> => {
  const browser = spawn('chromium', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const gone = once(browser, 'exit');
  let complaints = '';
  browser.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-STDERR_CHARS_KEPT);
  });
  const cancel = new AbortController();
  const failWith = (problem: string) => () => {
    throw new Error(`${problem}; Chromium said:\n${complaints}`);
  };
  try {
    return await Promise.race([
      report,
      gone.then(failWith('it ended before its page reported')),
      sleep(REPORT_MS_MAX, undefined, { signal: cancel.signal }).then(
        failWith(`the page did not report within ${REPORT_MS_MAX / 1000} s`),
      ),
    ]);
  } finally {
    cancel.abort();
    browser.kill();
    await gone;
  }
};

/** Runs the page; returns what there is to tell, or throws every fault. */
export const runChromium = async (published: Published): Promise<string> => {
  await requireTool('chromium', ['--version'], 'chromium');
  const { host, port, directory, certificateFile, upstream } = published;
  const netLog = join(directory, 'net-log.json');
  const files = [`--user-data-dir=${join(directory, 'chromium')}`, `--log-net-log=${netLog}`];
  // Behind the #, so that it is in no request but those that the page makes.
  const page = `https://${host}:${port}/#${await published.createWatchToken()}`;
  const report = await browse(
    [...CONTAINED, ...QUIET, ...files, trust(certificateFile), page],
    upstream.nextReport(),
  );
  const steps = Object.entries(report);
  const faults = steps.filter(([, outcome]) => outcome !== 'passed').map((step) => step.join(': '));
  // A page cannot tell what carries its WebSocket.
  if (!readFileSync(netLog, 'utf8').includes('":protocol: websocket"'))
    faults.push('its WebSocket did not share the HTTP/2 connection (RFC 8441)');
  if (faults.length > 0)
    throw new Error(`${faults.length} faults in ${steps.length} steps:\n  ${faults.join('\n  ')}`);
  return `${steps.length} steps`;
};
