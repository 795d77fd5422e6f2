/** `doctor` on a sound engine, and on one with faults of each kind. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { runCommand } from './command.ts';
import { makeInstance, type TestInstance } from './instance.ts';

interface Finding {
  readonly check: string;
  readonly verdict: string;
  readonly detail: string;
}

/** Runs it for an engine that listens, or would listen, on a port. */
const examine = async (t: TestContext, { files }: TestInstance, port: number, ...flags: string[]) => {
  const env = { RSTREAM_ENGINE_TLS__LISTEN_ADDR: `127.0.0.1:${port}` };
  const { code, stdout, stderr } = await runCommand(
    t,
    ['doctor', '-c', files.config, '-o', 'json', ...flags],
    { env },
  );
  return { code, stderr, findings: JSON.parse(stdout) as Finding[] };
};

test('finds no fault in an engine that runs, and leaves no token behind', async (t) => {
  const instance = await makeInstance(t);
  const { port } = await instance.serve();
  const { code, findings } = await examine(t, instance, port);
  assert.deepEqual(
    findings.filter(({ verdict }) => verdict === 'fault'),
    [],
  );
  assert.equal(code, 0);
  for (const check of ['permissions', 'clock', 'certificates', 'databases', 'dns', 'engine', 'round-trip'])
    assert.equal(findings.find((finding) => finding.check === check)?.verdict, 'ok', check);
  const tokens = await runCommand(t, ['token', 'list', '-c', instance.files.config, '--json']);
  assert.deepEqual(
    (JSON.parse(tokens.stdout) as { state: string }[]).map(({ state }) => state),
    ['revoked'],
  );
});

test('says what is wrong, a line each, and ends with 1', async (t) => {
  const instance = await makeInstance(t);
  const { files } = instance;
  chmodSync(files.serverKey, 0o644);
  const other = await makeInstance(t);
  writeFileSync(files.serverCertificate, readFileSync(other.files.serverCertificate));
  const tomorrow = Date.now() / 1000 + 86_400;
  utimesSync(files.database, tomorrow, tomorrow);
  const port = await freePort();
  const { code, stderr, findings } = await examine(t, instance, port);
  assert.equal(code, 1);
  assert.match(stderr, /^The engine has 5 faults\./);
  const faults = findings.filter(({ verdict }) => verdict === 'fault').map(({ detail }) => detail);
  for (const [index, pattern] of [
    /server-key\.pem can be used by others: chmod 600 it/,
    /the clock is behind/,
    /server-key\.pem is not the key of \S+server\.pem/,
    new RegExp(`^The engine at 127\\.0\\.0\\.1:${port} cannot be reached`),
  ].entries())
    assert.match(faults[index] ?? '', pattern);
});

test('--only makes one check, as a table, and a damaged database is a fault', async (t) => {
  const { files } = await makeInstance(t);
  const run = (...flags: string[]) => runCommand(t, ['doctor', '-c', files.config, ...flags]);
  const sound = await run('--only', 'databases');
  assert.deepEqual([sound.code, sound.stderr], [0, '']);
  assert.match(
    sound.stdout,
    /^VERDICT +CHECK +DETAIL\nok +databases +credentials, audit log and records are sound/,
  );
  writeFileSync(files.database, readFileSync(files.database).fill(0x5a, 4_096, 8_192));
  const damaged = await run('--only', 'databases');
  assert.equal(damaged.code, 1);
  assert.match(
    damaged.stdout,
    /^fault +databases +The database \S+engine\.db cannot be used: it is damaged\./m,
  );
  assert.equal((await run('--only', 'nonsense')).code, 2);
});

test('a name that leads nowhere is a fault for the host and for the wildcard', async (t) => {
  const cwd = makeTemporaryDirectory(t);
  const host = 'engine.invalid';
  const made = await runCommand(t, ['init', '--dir', cwd.concat('/data'), '--host', host]);
  assert.equal(made.code, 0);
  const { code, stdout } = await runCommand(t, [
    'doctor',
    '-c',
    join(cwd, 'data/config.yaml'),
    '--only',
    'dns',
  ]);
  assert.equal(code, 1);
  assert.match(stdout, /fault +dns +engine\.invalid has no address/);
  assert.match(stdout, /fault +dns +\*\.t\.engine\.invalid has no address/);
});
