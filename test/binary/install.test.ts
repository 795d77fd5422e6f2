/** install.sh, in a root directory of its own: no systemd runs where tests do, so its own tools judge the unit. Needs root, or sudo. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SCRIPT = fileURLToPath(new URL('../../install.sh', import.meta.url));
const EXECUTABLE = resolve(process.env.RSTREAM_TEST_EXECUTABLE ?? '');
const AS_ROOT = process.getuid?.() === 0 ? [] : ['sudo', '-n'];

const run = (...words: string[]) => {
  const [command = '', ...args] = words;
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(error, undefined, `this test needs ${command}`);
  return { status, output: `${stdout}${stderr}` };
};

/** An empty system, and the script upon it. */
const makeSystem = (t: TestContext) => {
  const root = makeTemporaryDirectory(t);
  t.after(() => run(...AS_ROOT, 'rm', '-rf', root));
  // The engine's user must come through.
  chmodSync(root, 0o755);
  mkdirSync(join(root, 'etc'));
  for (const name of ['passwd', 'group', 'shadow', 'gshadow']) writeFileSync(join(root, 'etc', name), '');
  return {
    at: (path: string) => join(root, path),
    install: (...flags: string[]) =>
      run(...AS_ROOT, 'sh', SCRIPT, '--root', root, '--binary', EXECUTABLE, ...flags),
  };
};

const PROGRAM = 'usr/local/bin/rstream-engine-ce';
const SHELL_FILES = [
  'usr/local/share/man/man1/rstream-engine-ce.1',
  'usr/local/share/bash-completion/completions/rstream-engine-ce',
  'usr/local/share/zsh/site-functions/_rstream-engine-ce',
  'usr/local/share/fish/vendor_completions.d/rstream-engine-ce.fish',
];
const DATA = 'var/lib/rstream-engine';
const UNIT = 'etc/systemd/system/rstream-engine.service';

test('installs program, user, data and unit; a second time it changes nothing; its engine runs as its user', (t) => {
  const { at, install } = makeSystem(t);
  const first = install('--host', 'edge.example.com');
  assert.equal(first.status, 0, first.output);
  assert.match(first.output, /installed \/usr\/local\/bin\/rstream-engine-ce\n/);
  const [, , uid, gid] = readFileSync(at('etc/passwd'), 'utf8').trim().split(':');
  for (const [path, mode, owner] of [
    [PROGRAM, 0o755, '0'],
    [UNIT, 0o644, '0'],
    [DATA, 0o700, uid],
    ...SHELL_FILES.map((path) => [path, 0o644, '0'] as const),
  ] as const) {
    const stats = statSync(at(path));
    assert.deepEqual([stats.mode & 0o777, String(stats.uid)], [mode, owner], path);
  }

  const second = install();
  assert.equal(second.status, 0, second.output);
  assert.doesNotMatch(second.output, /^(?:installed|made) /m);

  const asEngine = [...AS_ROOT, 'setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', at(PROGRAM)];
  const made = run(...asEngine, 'token', 'create', '--name', 'a', '--quiet', '-c', at(`${DATA}/config.yaml`));
  assert.match(made.output, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
});

test('refuses a binary whose sum is another one, and installs nothing', (t) => {
  const { at, install } = makeSystem(t);
  const { status, output } = install('--host', 'edge.example.com', '--sha256', '0'.repeat(64));
  assert.equal(status, 1);
  assert.match(
    output,
    /^install\.sh: \S+ is not the file that was published: its SHA-256 sum is [0-9a-f]{64}\n$/,
  );
  assert.ok(!existsSync(at('usr')));
});

test('--dry-run says what it would do, and does nothing', (t) => {
  const { at, install } = makeSystem(t);
  const { status, output } = install('--host', 'edge.example.com', '--dry-run');
  assert.equal(status, 0);
  for (const line of output.trim().split('\n')) assert.match(line, /^would run: /);
  assert.match(output, /useradd .*\n(?:.*\n)*.* init --dir \S+ --host edge\.example\.com/);
  assert.equal(readFileSync(at('etc/passwd'), 'utf8'), '');
  assert.ok(!existsSync(at('usr')));
});

test('without a host it says that it needs one, and an unknown option is named', (t) => {
  const { install } = makeSystem(t);
  assert.match(install().output, /install\.sh: the first time it needs --host/);
  assert.match(install('--nonsense').output, /^install\.sh: unknown option --nonsense/);
});

test('--uninstall keeps the data, --purge does not', (t) => {
  const { at, install } = makeSystem(t);
  assert.equal(install('--host', 'edge.example.com').status, 0);
  assert.match(install('--uninstall').output, /kept \/var\/lib\/rstream-engine/);
  assert.deepEqual(
    [PROGRAM, UNIT, ...SHELL_FILES].filter((path) => existsSync(at(path))),
    [],
  );
  assert.ok(existsSync(at(DATA)));
  assert.equal(install('--uninstall', '--purge').status, 0);
  assert.ok(!existsSync(at(DATA)));
  assert.equal(readFileSync(at('etc/passwd'), 'utf8'), '');
});

test('its unit is one that systemd takes, and leaves little open', (t) => {
  const { at, install } = makeSystem(t);
  assert.equal(install('--host', 'edge.example.com').status, 0);
  const unit = join(makeTemporaryDirectory(t), 'rstream-engine.service');
  copyFileSync(at(UNIT), unit);
  // systemd looks for the program in the system that runs.
  writeFileSync(unit, readFileSync(unit, 'utf8').replace('/usr/local/bin/rstream-engine-ce', EXECUTABLE));
  const verified = run('systemd-analyze', 'verify', '--man=no', unit);
  assert.deepEqual([verified.status, verified.output], [0, '']);
  // Exposure of 2.0 at most, of 10.
  const { status, output } = run('systemd-analyze', 'security', '--offline=true', '--threshold=20', unit);
  assert.equal(status, 0, output);
});

test('the script has no fault that shellcheck knows', () => {
  assert.equal(run('shellcheck', SCRIPT).output, '');
});
