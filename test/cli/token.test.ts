import assert from 'node:assert/strict';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { CommanderError } from 'commander';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { JWT_SECRET, setUpStore } from './store-room.ts';

const DAY_MS = 86_400_000;

const setUp = (t: TestContext) => setUpStore(t, 'token');

describe('token create', () => {
  test('prints the token on standard output, and what it is on standard error', async (t) => {
    const { run, openEngine } = setUp(t);
    const { printed, told } = await run(['create', '--name', 'agent']);
    assert.equal(printed.length, 1);
    assert.match(told.join('\n'), /^Created "agent" \(crd_\w{20}; all permissions; no expiry\)/);
    assert.equal(told.join('\n').includes(printed[0]!), false);
    const { permissions, expiresAt } = await openEngine().verify(printed[0]);
    assert.deepEqual([permissions, expiresAt], [null, undefined]);
  });

  test('prints the token alone with --quiet', async (t) => {
    const { run } = setUp(t);
    const { printed, told } = await run(['create', '--name', 'agent', '--quiet']);
    assert.match(printed.join('\n'), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.deepEqual(told, []);
  });

  test('prints one JSON document with --json', async (t) => {
    const { run, openEngine } = setUp(t);
    const { readResources, manageStreams } = PERMISSIONS;
    const flags = ['--permission', readResources, '--permission', manageStreams, '--expires', '2099-01-01'];
    const { printed, told } = await run(['create', '--name', 'agent', '--json', ...flags]);
    const { token, id, created_at, ...rest } = JSON.parse(printed.join('\n'));
    assert.deepEqual(rest, {
      name: 'agent',
      state: 'live',
      permissions: [readResources, manageStreams],
      expires_at: '2099-01-01T00:00:00.000Z',
    });
    assert.ok(Math.abs(Date.parse(created_at) - Date.now()) < 60_000);
    assert.deepEqual(told, []);
    assert.equal((await openEngine().verify(token)).credentialId, id);
  });

  for (const [text, ms] of [
    ['30d', 30 * DAY_MS],
    ['12h', DAY_MS / 2],
    ['45m', 45 * 60_000],
  ] as const)
    test(`takes --expires ${text}`, async (t) => {
      const { run } = setUp(t);
      const before = Date.now();
      const { printed } = await run(['create', '--name', 'agent', '--json', '--expires', text]);
      const expiresAt = Date.parse(JSON.parse(printed.join('\n')).expires_at);
      assert.ok(expiresAt > before + ms - 1_000 && expiresAt <= Date.now() + ms);
    });

  for (const text of ['', 'soon', '30', '-1d', '1.5h', '30 d', '1y', '2099-02-30', '2099-13-01', '1.1.2099'])
    test(`refuses --expires '${text}' and makes nothing`, async (t) => {
      const { run, openEngine } = setUp(t);
      await assert.rejects(run(['create', '--name', 'agent', `--expires=${text}`]), { code: 'USAGE' });
      assert.deepEqual(openEngine().listTokens(), []);
    });

  for (const [fault, args] of [
    ['an expiry in the past', ['--expires', '2020-01-01']],
    ['an expiry now', ['--expires', '0d']],
    ['an unknown permission', ['--permission', 'all']],
  ] as const)
    test(`refuses ${fault}`, async (t) => {
      await assert.rejects(setUp(t).run(['create', '--name', 'agent', ...args]), {
        code: 'CREDENTIAL_INVALID',
      });
    });

  test('refuses a name that a live token has', async (t) => {
    const { run } = setUp(t);
    await run(['create', '--name', 'agent']);
    await assert.rejects(run(['create', '--name', 'agent']), {
      code: 'CREDENTIAL_INVALID',
      message: /"agent"/,
    });
  });

  test('is a usage error with --json and --quiet', async (t) => {
    const args = ['create', '--name', 'agent', '--json', '--quiet'];
    await assert.rejects(setUp(t).run(args), (error) => error instanceof CommanderError);
  });

  for (const args of [
    [],
    ['--kind', 'auth'],
    ['--kind', 'auth', '--source', 'a', '--name', 'b'],
    ['--name', 'a', '--source', 'b'],
    ['--name', 'a', '--list-only'],
  ])
    test(`is a usage error: create ${args.join(' ')}`, async (t) => {
      await assert.rejects(async () => setUp(t).run(['create', ...args]), { code: 'USAGE' });
    });
});

describe('token list', () => {
  test('shows name, state, times and permissions of each token, never a token or its hash', async (t) => {
    const { run } = setUp(t);
    const { readResources } = PERMISSIONS;
    const made = [
      await run(['create', '--quiet', '--name', 'one', '--expires', '2099-01-01']),
      await run(['create', '--quiet', '--name', 'two', '--permission', readResources]),
    ];
    await run(['revoke', 'two']);
    const { printed, all } = await run(['list']);
    assert.match(printed[0]!, /^ID +NAME +STATE +CREATED +EXPIRES +PERMISSIONS$/);
    assert.match(printed[1]!, /^crd_\w+ +one +live +\S+Z +2099-01-01T00:00:00\.000Z +all$/);
    assert.match(printed[2]!, new RegExp(`^crd_\\w+ +two +revoked +\\S+Z +never +${readResources}$`));
    for (const part of made.flatMap(({ printed }) => printed[0]!.split('.')))
      assert.equal(all.includes(part), false);
    assert.equal(/[0-9a-f]{64}/.test(all), false);
  });

  test('prints JSON with --json', async (t) => {
    const { run } = setUp(t);
    await run(['create', '--name', 'one']);
    await run(['revoke', 'one']);
    const [record] = JSON.parse((await run(['list', '--json'])).printed.join('\n'));
    assert.deepEqual(Object.keys(record), ['id', 'name', 'state', 'permissions', 'created_at', 'revoked_at']);
    assert.equal(record.state, 'revoked');
  });

  test('says what to do when there are none, and an empty list as JSON', async (t) => {
    const { run, openEngine } = setUp(t);
    openEngine();
    const { printed, told } = await run(['list']);
    assert.deepEqual(printed, []);
    assert.match(told.join('\n'), /token create/);
    assert.deepEqual((await run(['list', '--json'])).printed, ['[]']);
  });

  test('does not make a database', async (t) => {
    const { run, directory } = setUp(t);
    await assert.rejects(run(['list']), { code: 'STORE_UNAVAILABLE', message: /it does not exist/ });
    assert.equal(existsSync(join(directory, 'engine.db')), false);
  });
});

describe('token revoke', () => {
  test('ends a token in an engine that runs', async (t) => {
    const { run, openEngine } = setUp(t);
    const engine = openEngine();
    for (const pick of ['name', 'id'] as const) {
      const { record, token } = await engine.createToken({ name: 'agent', permissions: null });
      const principal = await engine.verify(token);
      const { printed, told } = await run(['revoke', record[pick]]);
      assert.deepEqual(printed, []);
      assert.match(told.join('\n'), new RegExp(`^Revoked "agent" \\(${record.id}`));
      assert.equal(engine.isActive(principal), false);
      await assert.rejects(engine.verify(token), { code: 'TOKEN_REVOKED' });
    }
  });

  test('says when there is no such token', async (t) => {
    const { run, openEngine } = setUp(t);
    openEngine();
    await assert.rejects(run(['revoke', 'nobody']), { code: 'CREDENTIAL_NOT_FOUND', message: /nobody/ });
  });
});

describe('every token command', () => {
  test('takes --config and -c before the environment', async (t) => {
    const { run, config } = setUp(t);
    const env = { RSTREAM_ENGINE_CONFIG: '/nowhere/config.yaml' };
    await run(['create', '--name', 'agent', '--config', config], { env });
    await run(['list', '-c', config], { env });
    await run(['revoke', 'agent', '-c', config], { env });
    await assert.rejects(run(['list'], { env }), { code: 'CONFIG_NOT_FOUND' });
  });

  test('tells the warnings of the configuration and shows no secret of it', async (t) => {
    const { run, config } = setUp(t);
    chmodSync(config, 0o644);
    const { printed, told, all } = await run(['create', '--name', 'agent', '--quiet']);
    assert.equal(printed.length, 1);
    assert.match(told.join('\n'), /chmod 600/);
    assert.equal(all.includes(JWT_SECRET), false);
  });
});

describe('token create --kind auth', () => {
  test('makes a token that acts for its source and is kept nowhere', async (t) => {
    const { run, openEngine } = setUp(t);
    const { record } = await openEngine().createToken({ name: 'ci', permissions: null });
    const { readResources } = PERMISSIONS;
    const flags = ['--kind', 'auth', '--source', 'ci', '--permission', readResources, '--list-only'];
    const { printed, told } = await run(['create', ...flags, '--expires', '10m']);
    assert.match(told.join('\n'), /^Made an auth token for "ci" until \S+Z:/);
    const engine = openEngine();
    const { credentialId, kind, permissions } = await engine.verifyInQuery(printed[0]);
    assert.deepEqual([credentialId, kind, permissions], [record.id, 'auth', new Set([readResources])]);
    assert.equal(engine.listTokens().length, 1);
  });

  test('lives a minute if nothing else is asked for, and an hour at most', async (t) => {
    const { run, openEngine } = setUp(t);
    await openEngine().createToken({ name: 'ci', permissions: null });
    const flags = ['create', '--kind', 'auth', '--source', 'ci'];
    const { printed } = await run([...flags, '--json']);
    const { expires_at, token } = JSON.parse(printed.join('\n'));
    assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 60_000) < 10_000);
    await openEngine().verify(token);
    await assert.rejects(run([...flags, '--expires', '61m']), { code: 'CREDENTIAL_INVALID' });
    await assert.rejects(run([...flags.slice(0, 3), '--source', 'nobody']), { code: 'CREDENTIAL_NOT_FOUND' });
  });
});

describe('token rotate', () => {
  test('replaces the token and keeps the record; the old one has its grace', async (t) => {
    const { run, openEngine } = setUp(t);
    const first = await run(['create', '--name', 'ci', '--quiet']);
    const second = await run(['rotate', 'ci', '--grace', '10m', '--quiet']);
    assert.deepEqual(second.told, []);
    const engine = openEngine();
    const [old, young] = [await engine.verify(first.printed[0]), await engine.verify(second.printed[0])];
    assert.equal(old.credentialId, young.credentialId);
    assert.ok(Math.abs((old.expiresAt ?? 0) - Date.now() - 600_000) < 10_000);
    const { told } = await run(['rotate', 'ci']);
    assert.match(told.join('\n'), /^Rotated "ci" \(crd_/);
    await assert.rejects(engine.verify(second.printed[0]), { code: 'TOKEN_REVOKED' });
  });

  for (const text of ['', 'soon', '10', '1y', '31d'])
    test(`refuses --grace '${text}'`, async (t) => {
      const { run } = setUp(t);
      await run(['create', '--name', 'ci']);
      await assert.rejects(run(['rotate', 'ci', `--grace=${text}`]), {
        code: /^(USAGE|CREDENTIAL_INVALID)$/,
      });
    });
});
