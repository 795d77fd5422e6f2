/** What only the binary can get wrong: its start, its addons, and what it leaves on the disk. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../process/command.ts';
import { makeInstance } from '../process/instance.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const EXECUTABLE = resolve(process.env.RSTREAM_TEST_EXECUTABLE ?? '');
const START_MS_MAX = 150;

test('says its version in less than 150 ms', async (t) => {
  // The best of some: a busy machine says nothing about the program.
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20 && bestMs >= START_MS_MAX; round++) {
    const startMs = performance.now();
    assert.equal((await runCommand(t, ['version'])).code, 0);
    bestMs = Math.min(bestMs, performance.now() - startMs);
  }
  assert.ok(bestMs < START_MS_MAX, `${bestMs} ms`);
});

test('leaves nothing in the temporary directory while it serves', async (t) => {
  const TMPDIR = makeTemporaryDirectory(t);
  const instance = await makeInstance(t);
  const { engine } = await instance.serve({ env: { TMPDIR } });
  assert.deepEqual(readdirSync(TMPDIR), []);
  assert.equal(await engine.kill('SIGTERM'), 0);
  assert.deepEqual(readdirSync(TMPDIR), []);
});

test('says in one sentence that its addon finds no place, and ends with 1', async (t) => {
  const { files } = await makeInstance(t);
  const TMPDIR = join(makeTemporaryDirectory(t), 'missing');
  const { code, stderr } = await runCommand(t, ['serve', '-c', files.config], { env: { TMPDIR } });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^A native part of the engine cannot be loaded from \S+missing: ENOENT.*\nSet TMPDIR .*\n$/,
  );
});

test('prints the licences of Node, of SQLite and of each package in it', async (t) => {
  const { code, stdout } = await runCommand(t, ['licenses']);
  assert.equal(code, 0);
  for (const title of [/^rstream-engine-ce$/m, /^better-sqlite3 .* \(MIT\)$/m, /^koa /m, /^Node\.js 26\./m])
    assert.match(stdout, title);
  assert.doesNotMatch(stdout, /^(?:typescript|esbuild) \d/m);
});

test('is what its sums say, and its bill of materials names what runs in it', () => {
  const sums = readFileSync(`${EXECUTABLE}.sha256`, 'utf8').trim().split('\n');
  for (const line of sums) {
    const [sum, name = ''] = line.split('  ');
    const bytes = readFileSync(join(dirname(EXECUTABLE), name));
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sum, name);
  }
  const bill = JSON.parse(readFileSync(`${EXECUTABLE}.cdx.json`, 'utf8'));
  const names = bill.components.map(({ name }: { name: string }) => name);
  assert.equal(bill.bomFormat, 'CycloneDX');
  for (const name of ['node', 'koa', 'better-sqlite3']) assert.ok(names.includes(name), name);
  assert.ok(!names.includes('typescript'));
});
