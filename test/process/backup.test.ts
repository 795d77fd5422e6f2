/** The worst day: an engine is lost, and comes back from its backup with every token still valid. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectFakeAgent } from '../support/fake-agent.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { runCommand } from './command.ts';
import { makeInstance } from './instance.ts';

test('an engine is saved while it runs, wiped and restored, and knows its agents again', async (t) => {
  const instance = await makeInstance(t);
  const { dir, config } = instance.files;
  const { engine } = await instance.serve();
  const token = await instance.createToken('agent');
  const cwd = makeTemporaryDirectory(t);

  const saved = await runCommand(t, ['backup', 'engine.backup', '-c', config], { cwd });
  assert.equal(saved.code, 0, saved.stderr);
  assert.match(
    saved.stderr,
    /^Saved engine\.db, config\.yaml, engine\.signing-key, ca\.pem, ca-key\.pem, server\.pem, server-key\.pem in/,
  );
  const passphrase = saved.stdout.trim();
  assert.match(passphrase, /^\w{24}$/);
  writeFileSync(join(cwd, 'passphrase'), passphrase);
  const env = { RSTREAM_BACKUP_PASSPHRASE: passphrase };

  const verified = await runCommand(t, ['backup', 'verify', 'engine.backup'], { cwd, env });
  assert.deepEqual([verified.code, verified.stderr], [0, '']);
  assert.match(verified.stdout, /^ok: engine\.backup holds engine\.db, /);

  assert.equal(await engine.kill('SIGKILL'), 'SIGKILL');
  const before = readFileSync(config, 'utf8');
  rmSync(dir, { recursive: true });
  const flags = ['--dir', dir, '--passphrase-file', 'passphrase'];
  const restored = await runCommand(t, ['restore', 'engine.backup', ...flags], { cwd });
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(readFileSync(config, 'utf8'), before);
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  for (const name of readdirSync(dir)) assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);

  const { port } = await instance.serve();
  const agent = await connectFakeAgent({ port, ca: instance.ca, token });
  await agent.close();

  const again = await runCommand(t, ['restore', 'engine.backup', ...flags], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already and is not overwritten/);
});

test('restore makes nothing of a backup whose passphrase is wrong', async (t) => {
  const { files } = await makeInstance(t);
  const cwd = makeTemporaryDirectory(t);
  const env = { RSTREAM_BACKUP_PASSPHRASE: 'the right passphrase' };
  assert.equal((await runCommand(t, ['backup', 'b', '-c', files.config], { cwd, env })).code, 0);
  mkdirSync(join(cwd, 'target'));
  const { code, stderr } = await runCommand(t, ['restore', 'b', '--dir', 'target'], {
    cwd,
    env: { RSTREAM_BACKUP_PASSPHRASE: 'another passphrase' },
  });
  assert.equal(code, 1);
  assert.match(stderr, /The backup \S+ cannot be used: the passphrase is wrong, or it is damaged\./);
  assert.deepEqual(readdirSync(cwd).sort(), ['b', 'target']);
  assert.deepEqual(readdirSync(join(cwd, 'target')), []);
});

test('certificates from elsewhere are in the backup, and restore says where they belong', async (t) => {
  const { files } = await makeInstance(t);
  const cwd = makeTemporaryDirectory(t);
  const elsewhere = join(cwd, 'cert.pem');
  writeFileSync(elsewhere, readFileSync(files.serverCertificate));
  writeFileSync(files.config, readFileSync(files.config, 'utf8').replace('server.pem', elsewhere));
  const saved = await runCommand(t, ['backup', 'b', '-c', files.config, '--no-encryption'], { cwd });
  assert.deepEqual([saved.code, saved.stdout], [0, '']);
  assert.match(saved.stderr, /It is NOT encrypted/);
  const { code, stderr } = await runCommand(t, ['restore', 'b', '--dir', 'target'], { cwd });
  assert.equal(code, 0);
  assert.ok(
    stderr.includes(`The configuration expects ${elsewhere}: put elsewhere${elsewhere} there.`),
    stderr,
  );
  assert.deepEqual(readFileSync(join(cwd, 'target', 'elsewhere', elsewhere)), readFileSync(elsewhere));
});
