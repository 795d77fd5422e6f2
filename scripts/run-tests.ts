/**
 * Lists the test files and runs them with node:test; `npm test -- socket tunnel/address` runs those whose path contains a given text.
 *
 * Why a list of our own: globs on the test command line came with Node 21.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);

// test/interop has its own command: it needs Go and Python.
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts') && !path.startsWith('interop'))
  .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
  .map((path) => relative(process.cwd(), join(root, 'test', path)))
  .sort();

if (files.length === 0) {
  console.error(`no test file matches: ${wanted.join(' ')}`);
  process.exit(1);
}

// A test that hangs is a failure with a name, not a run that never ends.
const flags = ['--test', '--test-timeout=120000', `--test-concurrency=${availableParallelism()}`];
const child = spawn(process.execPath, ['--import', 'tsx', ...flags, ...files], { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
