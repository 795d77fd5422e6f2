/**
 * Lists the test files and runs them with node:test; `npm test -- socket tunnel/address` runs those whose path contains a given text.
 *
 * With RSTREAM_TEST_EXECUTABLE (`npm run test:binary`) test/process and test/binary run that program instead of the source. With
 * RSTREAM_TEST_NODE=embedded (`npm run test:embedded`) all others run on the Node inside the binary, which is not the one that npm runs on.
 * Why a list of our own: globs on the test command line came with Node 21.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOST_ARCHITECTURE, installNode } from './binary/runtime.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const executable = process.env.RSTREAM_TEST_EXECUTABLE;
const isEmbedded = process.env.RSTREAM_TEST_NODE === 'embedded';

if (executable !== undefined && !existsSync(executable)) {
  console.error(`there is no ${executable}: make it with npm run build`);
  process.exit(1);
}

// test/interop and test/binary have their own commands: one needs Go and Python, the other what `npm run build` makes.
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts') && !path.startsWith('interop'))
  .filter((path) => executable !== undefined || !path.startsWith('binary'))
  // Processes of the embedded Node are the binary's, which has a command of its own.
  .filter((path) => !isEmbedded || !path.startsWith('process'))
  .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
  .map((path) => relative(process.cwd(), join(root, 'test', path)))
  .sort();

if (files.length === 0) {
  console.error(`no test file matches: ${wanted.join(' ')}`);
  process.exit(1);
}

// A test that hangs is a failure with a name, not a run that never ends.
const flags = ['--test', '--test-timeout=120000', `--test-concurrency=${availableParallelism()}`];
const [node, ...loaders] = isEmbedded
  ? [installNode(HOST_ARCHITECTURE).execPath, '--import', join(root, 'scripts/binary/own-addon.mjs')]
  : [process.execPath];
const child = spawn(node, [...loaders, '--import', 'tsx', ...flags, ...files], { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
