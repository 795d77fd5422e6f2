/**
 * The Go suite: our test module against the published SDK, and against the CLI built from the same module.
 *
 * Flow: check Go and the module, copy our sources to `.cache/go`, `go mod tidy` there, build the CLI, `go test`.
 *
 * Why a copy: `go mod tidy` writes go.sum and the indirect requirements into go.mod. The checkout has neither, because
 * the module could not be fetched where these tests were written; a run must not leave the checkout changed.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, INTEROP, lastLine, ROOT, runCommand } from './command.ts';

const MODULE = 'github.com/rstreamlabs/rstream-go';
const SOURCES = join(INTEROP, 'go');
const CACHE = join(INTEROP, '.cache');
const COPY = join(CACHE, 'go');
const CLI = join(CACHE, 'rstream');
const CHECK_MS = 60_000;
const BUILD_MS = 600_000;
const SUITE_MS = 600_000;

const go = (args: readonly string[], timeoutMs: number): Promise<CommandResult> =>
  runCommand('go', args, { cwd: existsSync(COPY) ? COPY : INTEROP, timeoutMs, output: 'keep' });

/** The version that our go.mod names: its one home. */
const moduleVersion = (): string => {
  const required = new RegExp(`^require ${MODULE} (v\\S+)$`, 'm').exec(
    readFileSync(join(SOURCES, 'go.mod'), 'utf8'),
  );
  if (required?.[1] === undefined) throw new Error(`test/interop/go/go.mod does not require ${MODULE}.`);
  return required[1];
};

const requireGo = async (): Promise<void> => {
  const { code } = await go(['version'], CHECK_MS);
  if (code !== 0) throw new Error('Go is missing (go.mod in test/interop/go names the version).');
};

const requireModule = async (version: string): Promise<void> => {
  const { code, output } = await go(['mod', 'download', `${MODULE}@${version}`], BUILD_MS);
  if (code !== 0)
    throw new Error(`The Go module ${MODULE}@${version} cannot be fetched: ${lastLine(output)}`);
};

/** Runs the Go tests; throws one sentence when they cannot run or do not pass. */
export const runGoSuite = async (): Promise<void> => {
  await requireGo();
  await requireModule(moduleVersion());
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  cpSync(SOURCES, COPY, { recursive: true });
  for (const args of [
    ['mod', 'tidy'],
    ['build', '-o', CLI, `${MODULE}/cmd/rstream`],
    ['vet', './...'],
  ]) {
    const { code, output } = await go(args, BUILD_MS);
    if (code !== 0) throw new Error(`\`go ${args.slice(0, 2).join(' ')}\` failed: ${lastLine(output)}`);
  }
  const { code } = await runCommand(
    'go',
    ['test', '-count=1', '-timeout', `${SUITE_MS / 1000}s`, '-v', './...'],
    {
      cwd: COPY,
      env: { INTEROP_NODE: process.execPath, INTEROP_ROOT: ROOT, INTEROP_CLI: CLI },
      timeoutMs: SUITE_MS + CHECK_MS,
      output: 'show',
    },
  );
  if (code !== 0) throw new Error('tests failed, see above.');
};
