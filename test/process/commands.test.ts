/** What each command prints where, and with which exit code it ends. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { runCommand, startCommand } from './command.ts';
import { makeInstance } from './instance.ts';

describe('the command line', { concurrency: true }, () => {
  test('version is the first word of one line; the commit and the runtime follow', async (t) => {
    for (const word of ['version', '--version']) {
      const { code, stdout, stderr } = await runCommand(t, [word]);
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(stdout.split(' ')[0], VERSION);
      assert.match(stdout, /^\S+ \((?:commit [0-9a-f]{12}, )?Node [\d.]+, OpenSSL \S+, linux \w+\)\n$/);
    }
  });

  test('help lists every command', async (t) => {
    const { code, stdout } = await runCommand(t, ['help']);
    assert.equal(code, 0);
    for (const command of [
      'serve',
      'init',
      'quickstart',
      'check-config',
      'config',
      'token',
      'app',
      'cert',
      'key',
      'audit',
      'doctor',
      'backup',
      'restore',
      'admin',
      'forward',
      'dial',
      'completion',
      'man',
      'licenses',
      'version',
    ])
      assert.match(stdout, new RegExp(`^ {2}${command}\\b`, 'm'));
  });

  for (const args of [['--nonsense'], ['token', 'create'], ['app', 'create']])
    test(`${args.join(' ')} is wrong usage: a sentence, and exit code 2`, async (t) => {
      const { code, stdout, stderr } = await runCommand(t, args);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /^\S.*\n/);
      assert.match(stderr, /rstream-engine-ce help/);
      assert.doesNotMatch(stderr, / at |node:internal/);
    });

  test('a word that is no command is named', async (t) => {
    const { stderr } = await runCommand(t, ['nonsense']);
    assert.equal(stderr, 'There is no command nonsense.\nSee `rstream-engine-ce help`.\n');
  });

  test('a list that no pipe holds at once is printed whole', async (t) => {
    const instance = await makeInstance(t);
    const names = Array.from({ length: 1_500 }, (_, index) => `${index}`.padStart(100, '-'));
    await instance.createTokens(names);
    const args = ['token', 'list', '--json', '--config', instance.files.config];
    const { code, stdout } = await runCommand(t, args);
    assert.equal(code, 0);
    assert.ok(stdout.length > 256 * 1_024, 'more than a pipe holds');
    assert.deepEqual(new Set(JSON.parse(stdout).map(({ name }: { name: string }) => name)), new Set(names));
  });

  test('a reader that has read enough is no fault', async (t) => {
    const command = startCommand(t, ['help']);
    command.child.stdout.destroy();
    assert.equal(await command.ended, 0);
    assert.equal(command.stderr, '');
  });

  test('without a configuration it says how to make one', async (t) => {
    const cwd = makeTemporaryDirectory(t);
    const { code, stderr } = await runCommand(t, [], { cwd });
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `There is no configuration at ${join(cwd, 'config.yaml')}.\nMake one with \`rstream-engine-ce init\`, or name another by --config.\n`,
    );
  });
});

describe('init', { concurrency: true }, () => {
  test('makes an engine for a host: keys and database for the owner alone, names in the certificate', async (t) => {
    const cwd = makeTemporaryDirectory(t);
    const host = 'edge.example.test';
    const { code, stdout, stderr } = await runCommand(t, ['init', '--dir', 'engine', '--host', host], {
      cwd,
    });
    assert.equal(code, 0);
    assert.match(stdout, /^https:\/\/localhost:9443\/#link=\w{40}\n$/);
    assert.match(stderr, /token create --config \S+engine\/config\.yaml/);
    assert.match(stderr, /DNS: edge\.example\.test .* \*\.t\.edge\.example\.test/);

    const dir = join(cwd, 'engine');
    const modes = Object.fromEntries(
      readdirSync(dir).map((name) => [name, (statSync(join(dir, name)).mode & 0o777).toString(8)]),
    );
    assert.deepEqual(modes, {
      'audit.db': '600',
      'ca-key.pem': '600',
      'ca.pem': '644',
      'config.yaml': '600',
      'engine.db': '600',
      'server-key.pem': '600',
      'server.pem': '644',
    });
    assert.equal((statSync(dir).mode & 0o777).toString(8), '700');
    const certificate = new X509Certificate(readFileSync(join(dir, 'server.pem')));
    assert.ok(certificate.checkHost(host));
    assert.ok(certificate.checkHost(`app.t.${host}`));
    assert.equal(certificate.checkHost('elsewhere.test'), undefined);
    assert.ok(certificate.verify(new X509Certificate(readFileSync(join(dir, 'ca.pem'))).publicKey));
    assert.match(readFileSync(join(dir, 'config.yaml'), 'utf8'), /listen_addr: "?\[::\]:443/);
  });

  test('overwrites nothing: one sentence that names the file, and exit code 1', async (t) => {
    const { files } = await makeInstance(t);
    const before = readFileSync(files.config);
    const { code, stdout, stderr } = await runCommand(t, ['init', '--dir', files.dir]);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^\S+config\.yaml exists already and is not overwritten\.\n.*--dir.*\n$/);
    assert.deepEqual(readFileSync(files.config), before);
  });

  test('makes nothing for a host that is none', async (t) => {
    const cwd = makeTemporaryDirectory(t);
    const { code, stderr } = await runCommand(t, ['init', '--host', 'not a host'], { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /engine\.host: must be a host name/);
    assert.deepEqual(readdirSync(cwd), []);
  });
});

describe('check-config', { concurrency: true }, () => {
  test('says ok, and takes the file from the environment', async (t) => {
    const { files } = await makeInstance(t);
    const env = { RSTREAM_ENGINE_CONFIG: files.config };
    const { code, stdout } = await runCommand(t, ['check-config'], { env });
    assert.deepEqual([code, stdout], [0, `ok: ${files.config} is a valid configuration.\n`]);
  });

  test('reports every fault at once, with its line, and never a secret', async (t) => {
    const path = join(makeTemporaryDirectory(t), 'config.yaml');
    writeFileSync(
      path,
      'engine:\n  hots: localhost\nauth:\n  jwt: {token_jwt_secret: tiny-secret}\ntls:\n  min_version: tls1.1\n',
    );
    const { code, stdout, stderr } = await runCommand(t, ['check-config', '-c', path]);
    assert.deepEqual([code, stdout], [1, '']);
    for (const fault of [
      /engine\.hots \(line 2\): .*did you mean engine\.host\?/,
      /engine\.host: is required/,
      /auth\.jwt\.token_jwt_secret \(line 4\): must be at least 32 bytes/,
      /tls\.min_version \(line 6\)/,
      /certs\.static\.cert_file: is required/,
    ])
      assert.match(stderr, fault);
    assert.doesNotMatch(stderr, /tiny-secret/);
  });
});

describe('token', { concurrency: true }, () => {
  test('create --quiet prints the token alone, list shows it by name, revoke ends it', async (t) => {
    const { files } = await makeInstance(t);
    const flags = ['--config', files.config];
    const created = await runCommand(t, ['token', 'create', '--name', 'ci', '--quiet', ...flags]);
    assert.deepEqual([created.code, created.stderr], [0, '']);
    assert.match(created.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const token = created.stdout.trim();

    const revoked = await runCommand(t, ['token', 'revoke', 'ci', ...flags]);
    assert.deepEqual([revoked.code, revoked.stdout], [0, '']);
    assert.match(revoked.stderr, /^Revoked "ci" \(crd_\w+;/);
    const listed = await runCommand(t, ['token', 'list', ...flags]);
    assert.equal(listed.code, 0);
    assert.match(listed.stdout, /^crd_\w+ +ci +revoked /m);
    for (const { stdout, stderr } of [revoked, listed]) assert.ok(!`${stdout}${stderr}`.includes(token));
    // The database holds a hash.
    for (const name of readdirSync(files.dir))
      assert.ok(!readFileSync(join(files.dir, name)).includes(token), name);
  });
});
