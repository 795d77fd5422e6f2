/** The configuration file of an engine that runs: written whole or not at all, and only by who has read it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createConfigFile } from '../../src/cli/config-file.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { createLogRecorder } from '../support/log.ts';
import { onShortDisk } from '../support/short-disk.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const TEXT = `engine: { host: localhost }
certs: { static: { cert_file: cert.pem, key_file: key.pem } }
`;
const OTHER = `${TEXT}policy: { allow_any: true }\n`;

const start = (t: TestContext, { env = {}, isLink = false } = {}) => {
  const directory = makeTemporaryDirectory(t);
  const target = join(directory, 'config.yaml');
  writeFileSync(target, TEXT, { mode: 0o640 });
  const path = isLink ? join(directory, 'link.yaml') : target;
  if (isLink) symlinkSync(target, path);
  const applied: Config[] = [];
  const apply = (config: Config) => {
    applied.push(config);
  };
  const needs = { log: createLogRecorder(), apply };
  const file = createConfigFile(needs, { path, env }, loadConfig({ path, env }).config);
  return { file, directory, target, path, applied };
};

test('a new text takes the place of the old, with its mode, and the old is beside it', (t) => {
  const { file, directory, target, applied } = start(t);
  file.write(OTHER, file.read().hash);
  assert.equal(readFileSync(target, 'utf8'), OTHER);
  assert.equal(readFileSync(`${target}.bak`, 'utf8'), TEXT);
  for (const path of [target, `${target}.bak`]) assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(directory).toSorted(), ['config.yaml', 'config.yaml.bak']);
  assert.equal(applied.length, 0, 'not before it is loaded');
  assert.deepEqual(file.reload().changed, ['policy.allow_any']);
  assert.equal(applied[0]?.policy.allow_any, true);
});

test('a link stays a link', (t) => {
  const { file, path, target } = start(t, { isLink: true });
  file.write(OTHER, file.read().hash);
  assert.notEqual(statSync(target).ino, 0);
  assert.equal(readFileSync(target, 'utf8'), readFileSync(path, 'utf8'));
  assert.ok(existsSync(`${target}.bak`));
});

test('a file that is the same is not parsed again, and one that is another is', (t) => {
  const { file, target } = start(t);
  const { config } = file.read();
  assert.equal(file.read().config, config);
  writeFileSync(target, OTHER);
  assert.equal(file.read().config.policy.allow_any, true);
  writeFileSync(target, 'engine: 7');
  for (const _turn of [1, 2]) assert.throws(() => file.read(), { code: 'CONFIG_INVALID' });
  writeFileSync(target, TEXT);
  assert.deepEqual(file.read().config, config);
});

test('what is not valid, or was made from another text, changes nothing', (t) => {
  const { file, target } = start(t);
  const { hash } = file.read();
  assert.throws(() => file.write(`${TEXT}policy: { trusted_ips: nonsense }\n`, hash), {
    code: 'CONFIG_INVALID',
  });
  writeFileSync(target, `${TEXT}# a word\n`);
  assert.throws(() => file.write(OTHER, hash), { code: 'VERSION_OUTDATED' });
  assert.equal(readFileSync(target, 'utf8'), `${TEXT}# a word\n`);
  writeFileSync(target, 'nonsense');
  assert.throws(() => file.reload(), { code: 'CONFIG_INVALID' });
  assert.equal(file.running().policy.allow_any, false);
});

test('a disk that takes a part of it keeps the old one whole', (t) => {
  const { file, directory, target } = start(t);
  const { hash } = file.read();
  const long = `${TEXT}# ${'x'.repeat(1_000)}\npolicy: { require_authentication: true }\n`;
  onShortDisk(256, () => {
    assert.throws(() => file.write(long, hash), { code: 'CONFIG_NOT_WRITABLE' });
  });
  assert.equal(readFileSync(target, 'utf8'), TEXT);
  assert.ok(!readdirSync(directory).some((name) => name.endsWith('.new')));
});

test('what the environment sets is named', (t) => {
  const { file } = start(t, { env: { RSTREAM_ENGINE_POLICY__ALLOW_ANY: 'true' } });
  assert.deepEqual(file.overridden, ['policy.allow_any']);
  assert.equal(file.read().config.policy.allow_any, true);
});
