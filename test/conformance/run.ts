/**
 * `npm run test:conformance [-- h2spec|curl|haproxy|h2load|sslscan|ssh|chromium]`: tools that were not written for us, against a published
 * tunnel.
 *
 * Rule: a tool that was asked for and cannot run has failed, and says in one sentence what is missing. Nothing is skipped. All of them
 * run when none is named, and a failure of one does not keep the others from running.
 */
import { runChromium } from './chromium.ts';
import { runCurl } from './curl.ts';
import { runH2load } from './h2load.ts';
import { runH2spec } from './h2spec.ts';
import { runHaproxy } from './haproxy.ts';
import { type Published, publish } from './published.ts';
import { runSsh } from './ssh.ts';
import { runSslscan } from './sslscan.ts';

const SUITES: Readonly<Record<string, (published: Published) => Promise<string>>> = {
  curl: runCurl,
  haproxy: runHaproxy,
  h2load: runH2load,
  h2spec: runH2spec,
  sslscan: runSslscan,
  ssh: runSsh,
  chromium: runChromium,
};

/** Runs one; prints and returns whether it passed. */
const runSuite = async (name: string, run: () => Promise<string>): Promise<boolean> => {
  const startedMs = performance.now();
  const outcome = await run().then(
    (told) => ({ passed: true, told }),
    (fault: unknown) => ({ passed: false, told: fault instanceof Error ? fault.message : String(fault) }),
  );
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(`conformance ${name}: ${outcome.passed ? 'passed' : 'FAILED'} (${seconds} s): ${outcome.told}`);
  return outcome.passed;
};

const main = async (asked: readonly string[]): Promise<number> => {
  const unknown = asked.filter((name) => !Object.hasOwn(SUITES, name));
  if (unknown.length > 0) {
    console.error(`no such suite: ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(', ')}.`);
    return 1;
  }
  // Children end with this process, however it ends.
  process.once('SIGINT', () => process.exit(1)).once('SIGTERM', () => process.exit(1));
  const published = await publish();
  const outcomes: boolean[] = [];
  for (const [name, suite] of Object.entries(SUITES))
    if (asked.length === 0 || asked.includes(name))
      outcomes.push(await runSuite(name, () => suite(published)));
  outcomes.push(
    await runSuite('engine and agent', async () => {
      await published.stop();
      return 'they lived through it and ended when they were told to';
    }),
  );
  return outcomes.every(Boolean) ? 0 : 1;
};

process.exitCode = await main(process.argv.slice(2));
