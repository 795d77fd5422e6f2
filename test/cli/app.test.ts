import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { setUpStore } from './store-room.ts';

const { readResources } = PERMISSIONS;

describe('app', () => {
  test('create prints client id and secret once, and the engine takes tokens that they sign', async (t) => {
    const { run, openEngine } = setUpStore(t, 'app');
    const made = await run(['create', '--name', 'dashboard', '--permission', readResources]);
    assert.match(
      made.told.join('\n'),
      /^Created "dashboard" \(crd_\w+; tunnels\.resources\.read-only; no expiry\)/,
    );
    const [clientId, clientSecret] = made.printed.map((line) => line.split(': ')[1]!);
    assert.deepEqual(
      made.printed.map((line) => line.split(': ')[0]),
      ['client_id', 'client_secret'],
    );
    const key = createPrivateKey({ key: Buffer.from(clientSecret!, 'hex'), format: 'der', type: 'pkcs8' });
    const token = await new SignJWT({ type: 'app', clientId, permissions: null })
      .setProtectedHeader({ alg: 'ES512' })
      .setIssuedAt()
      .setExpirationTime('60s')
      .sign(key);
    const principal = await openEngine().verify(token);
    assert.deepEqual([principal.credentialId, principal.permissions], [clientId, new Set([readResources])]);

    const shown = await run(['show', 'dashboard']);
    const listed = await run(['list']);
    assert.equal(JSON.parse(shown.printed.join('\n')).public_key_sha256.length, 1);
    for (const { all } of [shown, listed]) assert.equal(all.includes(clientSecret!.slice(-40)), false);
    assert.match(listed.printed[1]!, /^crd_\w+ +dashboard +live /);
  });

  test('rotate keeps the client id, revoke ends it', async (t) => {
    const { run, openEngine } = setUpStore(t, 'app');
    const first = JSON.parse((await run(['create', '--name', 'ci', '--json'])).printed.join('\n'));
    const second = JSON.parse((await run(['rotate', 'ci', '--grace', '1h', '--json'])).printed.join('\n'));
    assert.equal(second.client_id, first.client_id);
    assert.notEqual(second.client_secret, first.client_secret);
    const { told } = await run(['revoke', 'ci']);
    assert.match(told.join('\n'), /^Revoked "ci"/);
    assert.ok(openEngine().list('app')[0]?.revokedAt);
    await assert.rejects(run(['show', 'nobody']), { code: 'CREDENTIAL_NOT_FOUND' });
  });
});

describe('key rotate', () => {
  test('leaves old tokens their overlap', async (t) => {
    const { run, openEngine } = setUpStore(t, 'key');
    const engine = openEngine();
    const { token } = await engine.createToken({ name: 'ci', permissions: null });
    const { told } = await run(['rotate', '--overlap', '1h']);
    assert.match(told.join('\n'), /end at \d{4}-.*token rotate/);
    assert.ok(Math.abs((await engine.verify(token)).expiresAt! - Date.now() - 3_600_000) < 10_000);
    await run(['rotate', '--overlap', '0s']);
    await assert.rejects(engine.verify(token), { code: 'TOKEN_INVALID' });
    await assert.rejects(run(['rotate', '--overlap', '31d']), { code: 'CREDENTIAL_INVALID' });
  });
});

describe('audit', () => {
  test('has what the command line did and failed to do, and no secret', async (t) => {
    const { run } = setUpStore(t, 'audit');
    const token = (await run(['create', '--name', 'ci', '--quiet'], { of: 'token' })).printed[0]!;
    await run(['rotate', 'ci'], { of: 'token' });
    await run(['revoke', 'ci'], { of: 'token' });
    await run(['revoke', 'ci'], { of: 'token' }).catch(() => {});
    await run(['create', '--name', 'bad', '--permission', 'all'], { of: 'token' }).catch(() => {});
    await run(['revoke', token], { of: 'token' }).catch(() => {});
    const app = await run(['create', '--name', 'app'], { of: 'app' });
    await run(['create', '--kind', 'auth', '--source', 'app'], { of: 'token' });
    await run(['rotate'], { of: 'key' });

    const listed = await run(['list', '--json']);
    const entries = JSON.parse(listed.printed.join('\n')).reverse();
    assert.deepEqual(
      entries.map(({ action, name, result }: Record<string, string>) => [action, name, result]),
      [
        ['pat.create', 'ci', 'ok'],
        ['pat.rotate', 'ci', 'ok'],
        ['pat.revoke', 'ci', 'ok'],
        ['pat.revoke', undefined, 'CREDENTIAL_NOT_FOUND'],
        ['pat.create', undefined, 'CREDENTIAL_INVALID'],
        ['pat.revoke', undefined, 'CREDENTIAL_NOT_FOUND'],
        ['app.create', 'app', 'ok'],
        ['auth.mint', undefined, 'ok'],
        ['key.rotate', undefined, 'ok'],
      ],
    );
    assert.match(entries[0].actor, /^cli/);
    assert.equal(entries[0].origin, 'local');
    for (const secret of [...token.split('.').slice(1), app.printed[1]!.slice(-60)])
      assert.equal(listed.all.includes(secret), false);
    assert.match((await run(['list', '--limit', '1'])).printed[1]!, /^9 .*key\.rotate +signing key/);
    assert.match(
      (await run(['verify'])).printed[0]!,
      /^ok: 9 entries; the last is number 9 with hash [0-9a-f]{64}$/,
    );
  });
});
