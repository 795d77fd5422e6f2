/**
 * h2spec against the published tunnel, over TLS.
 *
 * Flow: install the pinned Go module once, run it where the published name resolves, read its report, judge it by the exceptions.
 *
 * Why unshare: h2spec takes one name for connecting, SNI and :authority, and Go's resolver does not know names below localhost. In a
 * mount namespace of its own the tool sees an /etc/hosts of ours, without root and without touching the machine's.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lastLine, runCommand } from '../interop/command.ts';
import { H2SPEC_EXCEPTIONS } from './h2spec-exceptions.ts';
import { casesFromReport, faultsFromCases } from './h2spec-report.ts';
import type { Published } from './published.ts';
import { requireTool } from './tools.ts';

const VERSION = 'v2.2.1';
const MODULE = `github.com/summerwind/h2spec/cmd/h2spec@${VERSION}+incompatible`;
const CACHE = fileURLToPath(new URL(`.cache/h2spec-${VERSION}`, import.meta.url));
const PROGRAM = join(CACHE, 'h2spec');
const INSTALL_MS = 300_000;
const RUN_MS = 300_000;
// Half of it is the default, in which a busy machine does not get a hundred streams of case 5.1.2 out of the way.
const CASE_SECONDS = 4;

const install = async (): Promise<void> => {
  if (existsSync(PROGRAM)) return;
  await requireTool('go', ['version'], 'golang-go');
  mkdirSync(CACHE, { recursive: true });
  const { code, output } = await runCommand('go', ['install', MODULE], {
    cwd: CACHE,
    env: { GOBIN: CACHE },
    timeoutMs: INSTALL_MS,
    output: 'keep',
  });
  if (code !== 0) throw new Error(`${MODULE} cannot be installed: ${lastLine(output)}`);
};

const requireNamespaces = async (): Promise<void> => {
  await requireTool('unshare', ['--version'], 'util-linux');
  const { code, output } = await runCommand('unshare', ['-r', '-m', 'true'], {
    timeoutMs: RUN_MS,
    output: 'keep',
  });
  if (code !== 0)
    throw new Error(
      'this system does not permit user and mount namespaces (`unshare -r -m`), without which h2spec cannot be shown the ' +
        `published name: ${lastLine(output)}`,
    );
};

/** Runs all cases; returns what there is to tell, or throws every fault. */
export const runH2spec = async ({ host, port, directory }: Published): Promise<string> => {
  await install();
  await requireNamespaces();
  const hosts = join(directory, 'hosts');
  const report = join(directory, 'h2spec.xml');
  writeFileSync(hosts, `127.0.0.1 localhost ${host}\n`);
  const inside = ['sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts];
  const target = ['-h', host, '-p', String(port), '-P', '/late', '-t', '-k', '-o', String(CASE_SECONDS)];
  // Its exit code only says that cases failed, which some do: the report is what counts.
  const { output } = await runCommand('unshare', ['-r', '-m', ...inside, PROGRAM, ...target, '-j', report], {
    timeoutMs: RUN_MS,
    output: 'keep',
  });
  if (!existsSync(report)) throw new Error(`it made no report: ${lastLine(output)}`);
  const cases = casesFromReport(readFileSync(report, 'utf8'));
  const faults = faultsFromCases(cases, H2SPEC_EXCEPTIONS, process.versions.nghttp2 ?? '');
  if (faults.length > 0) throw new Error(`${faults.length} faults:\n  ${faults.join('\n  ')}`);
  const passed = cases.filter(({ fault }) => fault === undefined).length;
  return `${passed} of ${cases.length} cases, the others are justified exceptions`;
};
