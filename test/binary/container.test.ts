/** Dockerfile and compose.yaml, as far as they can be judged without a container engine. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { runCommand } from '../process/command.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', '');
const instruction = (name: string): string[] =>
  [...dockerfile.matchAll(new RegExp(`^${name} +(.*)$`, 'gm'))].map((match) => match[1] ?? '');

test('the image is not root, has a fixed base, and copies only what the build makes', () => {
  assert.deepEqual(instruction('USER'), ['65532:65532']);
  for (const base of instruction('FROM')) assert.match(base, /^(?:scratch|\S+:\d\S*)(?: AS \w+)?$/);
  assert.deepEqual(instruction('ADD'), []);
  const [source = ''] = /^dist\/\S+/.exec(instruction('COPY')[0] ?? '') ?? [];
  assert.ok(existsSync(join(ROOT, source)), source);
  assert.match(readFileSync(join(ROOT, '.dockerignore'), 'utf8'), new RegExp(`^!${source}$`, 'm'));
});

test('its commands are ones that the binary has', async (t) => {
  const health = JSON.parse(
    /CMD (\[.*\])/.exec(instruction('HEALTHCHECK')[0] ?? '')?.[1] ?? '[]',
  ) as string[];
  const serve = JSON.parse(instruction('CMD')[0] ?? '[]') as string[];
  for (const args of [health.slice(1), serve]) {
    const { code, stderr } = await runCommand(t, args);
    assert.equal(code, 1);
    assert.match(stderr, /^There is no configuration at \/data\/config\.yaml\./);
  }
});

test('every library that the binary asks for comes with packages that the image installs', () => {
  const { stdout } = spawnSync('ldd', [resolve(process.env.RSTREAM_TEST_EXECUTABLE ?? '')], {
    encoding: 'utf8',
  });
  const libraries = [...stdout.matchAll(/^\s+([\w+.-]+?)\.so/gm)].map((match) => match[1]);
  const known = ['linux-vdso', 'libc', 'libm', 'libdl', 'libpthread', 'libgcc_s', 'libstdc++', 'libatomic'];
  assert.deepEqual(
    libraries.filter((library) => !known.includes(library ?? '')),
    [],
  );
  for (const name of ['libatomic1', 'libstdc++6']) assert.ok(dockerfile.includes(name), name);
});

test('the service keeps its data, and takes nothing that it does not need', () => {
  const { services, volumes } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'));
  const { engine } = services;
  assert.deepEqual(engine.volumes, ['data:/data']);
  assert.ok('data' in volumes);
  assert.deepEqual([engine.read_only, engine.cap_drop], [true, ['ALL']]);
  assert.deepEqual(engine.security_opt, ['no-new-privileges:true']);
});
