import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { Command, CommanderError } from 'commander';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { createClock } from '../../src/base/time.ts';
import { registerToken } from '../../src/cli/token.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = 'the shared secret of the operator, 32 bytes and more';
const DAY_MS = 86_400_000;

/** A configuration in a directory of its own, and a way to run commands against it. */
const setUp = (t: TestContext) => {
  const directory = makeTemporaryDirectory(t);
  const config = join(directory, 'config.yaml');
  writeFileSync(
    config,
    `engine: { host: edge.example.com }
certs: { static: { cert_file: cert.pem, key_file: key.pem } }
auth: { jwt: { token_jwt_secret: '${SECRET}' } }
`,
    { mode: 0o600 },
  );

  /** Runs `token ...`; gives the lines of standard output and standard error. */
  const run = async (
    args: string[],
    { env = { RSTREAM_ENGINE_CONFIG: config } as Record<string, string> } = {},
  ) => {
    const printed: string[] = [];
    const told: string[] = [];
    const program = new Command().exitOverride().configureOutput({ writeErr: (text) => told.push(text) });
    registerToken(program, {
      env,
      print: (line) => printed.push(line),
      tell: (line) => told.push(line),
      stopSignal: new AbortController().signal,
      stdin: new PassThrough(),
      stdout: new PassThrough(),
    });
    await program.parseAsync(['token', ...args], { from: 'user' });
    return { printed, told, all: [...printed, ...told].join('\n') };
  };

  /** The credentials of a running engine beside the commands. */
  const openEngine = () =>
    createCredentials({
      database: openTestDatabase(t, join(directory, 'engine.db')),
      clock: createClock(),
      engineHost: 'edge.example.com',
    });
  return { directory, config, run, openEngine };
};

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

  for (const args of [[], ['--name', 'agent', '--json', '--quiet']])
    test(`is a usage error: create ${args.join(' ')}`, async (t) => {
      await assert.rejects(setUp(t).run(['create', ...args]), (error) => error instanceof CommanderError);
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
    assert.equal(all.includes(SECRET), false);
  });
});
