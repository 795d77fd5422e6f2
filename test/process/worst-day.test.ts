/** What happens to an engine when its disk is full, its files are damaged, or it is killed while it writes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectFakeAgent } from '../support/fake-agent.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { type RunningCommand, runCommand, startCommand } from './command.ts';
import { makeInstance, type TestInstance } from './instance.ts';
import { besides, fillDisk, withDisk } from './small-disk.ts';

type Serve = (instance: TestInstance) => Promise<{ engine: RunningCommand; port: number }>;

/** An engine that publishes a service through the built-in agent. */
const startPublished = async (t: TestContext, serve: Serve = (instance) => instance.serve()) => {
  const instance = await makeInstance(t);
  const token = await instance.createToken('agent');
  const { engine, port } = await serve(instance);
  const target = { port, ca: instance.ca };
  const upstream = await startHttpUpstream(t, (_, response) => response.end('hello'));
  const flags = [...instance.engineFlags(port), '--token', token];
  const agent = startCommand(t, ['forward', `127.0.0.1:${upstream.port}`, '--hostname', 'web', ...flags]);
  await agent.says(/^https:\/\/web/m);
  const fetchPage = async () =>
    assert.equal((await fetchThrough(target, 'web.t.localhost', '/')).body, 'hello');
  return {
    instance,
    engine,
    target,
    token,
    fetchPage,
    /** Fetches as long as something is not so yet. */
    fetchUntil: async (isSo: () => boolean | Promise<boolean>, what: string) => {
      for (let count = 0; count < FETCHES_MAX; count += 1) {
        if (await isSo()) return;
        await fetchPage();
      }
      assert.fail(`still not so: ${what}\n${engine.stderr}`);
    },
  };
};
// Some 20 seconds' worth.
const FETCHES_MAX = 5_000;

test('a full disk costs records and audit; what is published works on, tokens hold and can be revoked; records come back with the room', async (t) => {
  const dir = makeTemporaryDirectory(t);
  const config = join(dir, 'config.yaml');
  const env = {
    RSTREAM_ENGINE_METRICS__PROMETHEUS__ENABLED: 'true',
    RSTREAM_ENGINE_METRICS__PROMETHEUS__LISTEN_ADDR: '127.0.0.1:0',
  };
  const { engine, target, token, fetchPage, fetchUntil } = await startPublished(t, async ({ files }) => {
    const within = withDisk(dir, { size: '4m', from: files.dir });
    const engine = startCommand(t, ['--config', config], { env, within });
    const [, port] = await engine.says(/"port":(\d+),.*"engine ready"/);
    return { engine, port: Number(port) };
  });
  const [, metricsPort] = await engine.says(/"port":(\d+),.*"metrics ready"/);
  const lostCount = async () => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    return Number(/rstream_engine_records_total\{outcome="lost"\} (\d+)/.exec(text)?.[1]);
  };
  const { pid = assert.fail() } = engine.child;
  const onDisk = (...args: string[]) => runCommand(t, [...args, '-c', config], { within: besides(pid) });

  await fetchPage();
  assert.equal((await onDisk('token', 'create', '--name', 'before')).code, 0);
  const makeRoom = fillDisk(pid, dir);
  // What its files have already may take some more.
  await fetchUntil(async () => (await lostCount()) > 0, 'records are lost');
  const revoked = await onDisk('token', 'revoke', 'before');
  assert.equal(revoked.code, 0, revoked.stderr);
  assert.match(revoked.stderr, /^Not in the audit log/m);
  await (await connectFakeAgent({ ...target, token })).close();
  assert.equal(engine.stderr.match(/"records are not kept"/g)?.length, 1);

  makeRoom();
  await fetchUntil(() => engine.stderr.includes('"records are kept again"'), 'records are kept again');
  assert.equal((await onDisk('token', 'create', '--name', 'after')).code, 0);
  assert.equal((await onDisk('doctor', '--only', 'databases')).code, 0);
});

describe('a damaged file', () => {
  test('of records is set aside under another name, and a new one begun', async (t) => {
    const { instance, engine, fetchPage } = await startPublished(t, (instance) => {
      writeFileSync(join(instance.files.dir, 'records.db'), 'these are no records');
      return instance.serve();
    });
    await fetchPage();
    await engine.says(/"aside":"\S+records\.db\.damaged","msg":"damaged records were set aside"/);
    const aside = join(instance.files.dir, 'records.db.damaged');
    assert.equal(readFileSync(aside, 'utf8'), 'these are no records');
    const { code, stdout } = await runCommand(t, [
      'doctor',
      '--only',
      'databases',
      '-c',
      instance.files.config,
    ]);
    assert.equal(code, 0);
    assert.match(stdout, /^warning +databases +\S+records\.db\.damaged holds records that were damaged/m);
  });

  test('of the audit log stays as it is; its events are told of, until it is moved away', async (t) => {
    const { files } = await makeInstance(t);
    const path = join(files.dir, 'audit.db');
    const flags = ['--config', files.config];
    writeFileSync(path, 'somebody was here', { mode: 0o600 });
    const created = await runCommand(t, ['token', 'create', '--name', 'a', '--quiet', ...flags]);
    assert.equal(created.code, 0);
    assert.match(created.stderr, /^Not in the audit log: .*it is not an SQLite database/);
    const found = await runCommand(t, ['doctor', '--only', 'databases', ...flags]);
    assert.equal(found.code, 1);
    assert.match(found.stdout, /^fault +databases +The database \S+audit\.db cannot be used/m);
    assert.equal(readFileSync(path, 'utf8'), 'somebody was here');
    renameSync(path, `${path}.evidence`);
    await runCommand(t, ['token', 'revoke', 'a', ...flags]);
    assert.match((await runCommand(t, ['audit', 'list', ...flags])).stdout, /pat\.revoke/);
  });
});

test('an engine that is killed while it writes loses no credential, and comes back', async (t) => {
  const { instance, engine, target, token, fetchPage } = await startPublished(t);
  const tokens = [token];
  let isKilled = false;
  const load = Promise.allSettled([
    (async () => {
      while (!isKilled) await fetchPage();
    })(),
    (async () => {
      while (!isKilled) tokens.push(await instance.createToken(`t${tokens.length}`));
    })(),
  ]);
  // From its -wal on: before, the file is being made, and nobody who only reads can finish that.
  await eventually(
    () => tokens.length > 20 && existsSync(join(instance.files.dir, 'records.db-wal')),
    'writes',
  );
  await engine.kill('SIGKILL');
  isKilled = true;
  await load;
  const again = await instance.serve();
  for (const each of [tokens[0], tokens.at(-1)])
    await (await connectFakeAgent({ ...target, port: again.port, token: each ?? '' })).close();
  await again.engine.kill('SIGTERM');
  const { code, stdout } = await runCommand(t, [
    'doctor',
    '--only',
    'databases',
    '-c',
    instance.files.config,
  ]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^ok /m);
  assert.doesNotMatch(again.engine.stderr, /set aside|not kept/);
});
