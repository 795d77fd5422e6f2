/** A backup is asked for by the admin page of a running engine, and an engine is restored from it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { createProgram } from '../../src/cli/commands.ts';
import { openDatabase } from '../../src/store/database.ts';
import { eventually } from '../support/eventually.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { type Ask, askAdmin, askWithToken, logIn, startAdminEngine } from './ask-admin.ts';

const PASSPHRASE = 'a long way home 42';

const start = (t: TestContext) => startAdminEngine(t, {}, { hasConfigFile: true });

const told = async (ask: Ask) => {
  const { body } = await ask('GET', '/audit');
  return body.items.filter(({ action }: { action: string }) => action === 'backup.create');
};

// Of this file alone: others make backups at the same time.
const PLACE = mkdtempSync(join(tmpdir(), 'rstream-backup-test-'));
process.env.TMPDIR = PLACE;
after(() => rmSync(PLACE, { recursive: true, force: true }));

const madeAside = () => readdirSync(PLACE).filter((name) => !name.startsWith('rstream-engine-ce-test-'));

/** Runs the command that an operator runs. */
const restore = async (t: TestContext, backup: Buffer, passphrase: string): Promise<string> => {
  const place = makeTemporaryDirectory(t);
  const [file, secret, dir] = ['backup', 'passphrase', 'data'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(file, backup);
  writeFileSync(secret, passphrase);
  const program = await createProgram(
    {
      env: {},
      print: () => {},
      tell: () => {},
      stopSignal: new AbortController().signal,
      onHangup: () => {},
      stdin: process.stdin,
      stdout: process.stdout,
    },
    'restore',
  );
  await program.parseAsync(['restore', file, '--dir', dir, '--passphrase-file', secret], { from: 'user' });
  return dir;
};

describe('a backup of a running engine', () => {
  test('is downloaded and restored: what was in the engine is in the directory', async (t) => {
    const engine = await start(t);
    await engine.createToken('before-the-backup');
    const { ask } = await logIn(engine, 'owner');
    const answer = await ask('POST', '/backup', { passphrase: PASSPHRASE });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.match(
      String(answer.headers['content-disposition']),
      /^attachment; filename="rstream-engine-\d{8}-\d{6}\.backup"$/,
    );
    assert.equal(Number(answer.headers['content-length']), answer.text.length);

    const dir = await restore(t, Buffer.from(answer.text, 'latin1'), PASSPHRASE);
    assert.equal(
      readFileSync(join(dir, 'config.yaml'), 'utf8'),
      readFileSync(join(engine.directory, 'config.yaml'), 'utf8'),
    );
    assert.ok(existsSync(join(dir, 'audit.db')));
    const database = openDatabase({ path: join(dir, 'engine.db'), mode: 'open' });
    const names = database.use((connection) =>
      connection.prepare('SELECT name FROM credentials').pluck().all(),
    );
    database.close();
    assert.ok(names.includes('before-the-backup'));
  });

  test('is of no use without its passphrase', async (t) => {
    const engine = await start(t);
    const { ask } = await logIn(engine, 'owner');
    const { text } = await ask('POST', '/backup', { passphrase: PASSPHRASE });
    await assert.rejects(restore(t, Buffer.from(text, 'latin1'), 'another passphrase'), {
      code: 'BACKUP_INVALID',
    });
  });

  test('leaves no file behind, and its passphrase nowhere', async (t) => {
    const engine = await start(t);
    const before = madeAside();
    const { ask } = await logIn(engine, 'owner');
    const answer = await ask('POST', '/backup', { passphrase: PASSPHRASE });
    assert.equal(answer.status, 200);
    assert.deepEqual(
      madeAside().filter((name) => !before.includes(name)),
      [],
    );
    const [entry] = await told(ask);
    assert.equal(entry.result, 'ok');
    assert.match(entry.actor, /owner/);
    const short = await ask('POST', '/backup', { passphrase: 'short one' });
    assert.equal(short.status, 400);
    assert.ok(!short.text.includes('short one'));
    assert.equal((await ask('POST', '/backup', { passphrase: '   eleven chars   ' })).status, 200);
    const all = `${JSON.stringify(engine.log.lines)}${JSON.stringify(await told(ask))}`;
    assert.ok(!all.includes(PASSPHRASE) && !all.includes('short one'));
  });
});

describe('who may have one', () => {
  test('admins, and programs with a token for the Admin API; no viewer, and no token of an agent', async (t) => {
    const engine = await start(t);
    const order = { passphrase: PASSPHRASE };
    const [owner, viewer] = [await logIn(engine, 'owner'), await logIn(engine, 'viewer', 'viewer')];
    assert.equal((await viewer.ask('POST', '/backup', order)).body.code, 'ROLE_MISSING');
    const program = askWithToken(engine, await engine.createToken('program', ['engine.admin']));
    assert.equal((await program('POST', '/backup', order)).status, 200);
    const agent = askWithToken(engine, await engine.createToken('agent'));
    assert.equal((await agent('POST', '/backup', order)).status, 403);
    assert.equal((await askAdmin(engine, 'POST', '/api/admin/backup', order)).status, 401);
    const results = (await told(owner.ask)).map(({ result }: { result: string }) => result);
    assert.ok(results.includes('ROLE_MISSING') && results.includes('ok'));
  });

  test('one at a time; the next one when it is done', async (t) => {
    const engine = await start(t);
    const { ask } = await logIn(engine, 'owner');
    const make = () => ask('POST', '/backup', { passphrase: PASSPHRASE });
    const answers = await Promise.all([make(), make(), make()]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 429, 429]);
    assert.equal(answers.find(({ status }) => status === 429)?.body.code, 'BACKUP_BUSY');
    // The file is closed a moment after its last byte.
    let next = await make();
    for (let turn = 0; next.status === 429 && turn < 100; turn += 1) next = await make();
    assert.equal(next.status, 200);
  });

  test('nobody, where the engine has no configuration file', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    const { body } = await ask('POST', '/backup', { passphrase: PASSPHRASE });
    assert.equal(body.code, 'BACKUP_UNAVAILABLE');
  });
});

test('an engine that stops while it makes a backup leaves nothing of it', async (t) => {
  const engine = await start(t);
  const before = madeAside();
  const { ask } = await logIn(engine, 'owner');
  const asked = ask('POST', '/backup', { passphrase: PASSPHRASE }).then(
    () => undefined,
    () => undefined,
  );
  await eventually(() => madeAside().some((name) => !before.includes(name)), 'that it is being made');
  await engine.stop();
  await asked;
  assert.deepEqual(
    madeAside().filter((name) => !before.includes(name)),
    [],
  );
});
