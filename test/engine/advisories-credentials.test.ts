/** One test for each published advisory of similar engines that is about proofs: its lesson, as a rule of this engine. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { createClock } from '../../src/base/time.ts';
import { configFromObject } from '../../src/config/load.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { startEngine } from '../support/engine.ts';
import { privateDial } from '../support/fake-agent.ts';
import { forgeToken, openTestDatabase } from '../support/store.ts';
import { askApi } from './ask-api.ts';

const SHARED = 'a-shared-secret-of-more-than-32-bytes';

describe('lessons of published advisories', () => {
  test('GHSA-24fp-5v3p-rvpw: a grant is checked on every stream, not only when the channel opens', async (t) => {
    const engine = await startEngine(t);
    const owner = await engine.connectAgent();
    await owner.openTunnel({ name: 'echo', publish: false });
    const token = await engine.createToken('dialer');
    const agent = await engine.connectAgent({ token });
    const answering = owner.next('dial-request').then((request) => owner.answerDial(request));
    (await privateDial({ port: engine.port, target: 'echo', token })).destroy();
    (await answering).destroy();
    // Its channel stands, and its token was verified a moment ago: neither counts.
    engine.revokeToken('dialer');
    await assert.rejects(privateDial({ port: engine.port, target: 'echo', token }), {
      code: 1000,
      message: /TOKEN_REVOKED/,
    });
    agent.kill();
  });

  test('CVE-2024-43798: a secret that is set and would not be used is a reason not to start', () => {
    const base = {
      engine: { host: 'localhost' },
      certs: { static: { cert_file: 'c.pem', key_file: 'k.pem' } },
    };
    for (const settings of [
      { auth: { jwt: { enabled: false, token_jwt_secret: SHARED } } },
      { auth: { token_jwt_secret: SHARED } },
      { store: { signing_keys: SHARED } },
      { store: { signing_key: 'short' } },
    ])
      assert.throws(() => configFromObject({ ...base, ...settings }, { dir: '/' }), {
        code: 'CONFIG_INVALID',
      });
  });

  test('CVE-2026-40304: what has no owner belongs to nobody, not to everybody', async (t) => {
    const database = openTestDatabase(t);
    const credentials = createCredentials({ database, clock: createClock(), engineHost: 'localhost' });
    const { token } = await credentials.createToken({ name: 'ci', permissions: [] });
    const principal = await credentials.verify(token);
    for (const column of ['kind', 'name', 'id'])
      assert.throws(
        () => database.use((connection) => connection.exec(`UPDATE credentials SET ${column} = NULL`)),
        { code: 'STORE_UNAVAILABLE' },
      );
    database.use((connection) =>
      connection.exec("PRAGMA foreign_keys = OFF; UPDATE proofs SET credential_id = 'nobody'"),
    );
    const afresh = createCredentials({ database, clock: createClock(), engineHost: 'localhost' });
    await assert.rejects(afresh.verify(token));
    assert.equal(afresh.isActive(principal), false);
  });

  test('CVE-2026-3209: what is changed is what was authorised: a name of one kind never reaches another', async (t) => {
    const credentials = createCredentials({
      database: openTestDatabase(t),
      clock: createClock(),
      engineHost: 'localhost',
    });
    const { record, token } = await credentials.createToken({ name: 'ci', permissions: null });
    const app = credentials.createApp({ name: 'ci', permissions: null }).record;
    for (const idOrName of [record.id, 'ci']) {
      assert.throws(() => credentials.revoke('certificate', idOrName), { code: 'CREDENTIAL_NOT_FOUND' });
      assert.throws(() => credentials.rotateApp(record.id, { graceMs: 0 }), { code: 'CREDENTIAL_NOT_FOUND' });
    }
    assert.equal(credentials.revoke('app', 'ci').id, app.id);
    await credentials.verify(token);
  });

  test('CVE-2026-40303: a proof is measured before anything is allocated for it', async (t) => {
    const engine = await startEngine(t);
    const token = 'x'.repeat(LIMITS.tokenCharsMax + 1);
    await assert.rejects(engine.connectAgent({ token }), { code: 1000, message: /TOKEN_INVALID/ });
  });

  test('CVE-2023-47390: no secret of any kind reaches a log, a database or the audit log', async (t) => {
    const engine = await startEngine(t, { settings: { auth: { jwt: { token_jwt_secret: SHARED } } } });
    const { readResources } = PERMISSIONS;
    const pat = await engine.createToken('pat');
    const restricted = await engine.createToken('restricted', [readResources]);
    const { auth, rotated, clientSecret } = await engine.withCredentials(async (credentials) => ({
      auth: await credentials.mintAuthToken({
        source: credentials.principalOf('pat'),
        permissions: null,
        expiresInSeconds: 60,
      }),
      rotated: await credentials.rotateToken('restricted', { graceMs: 60_000 }),
      clientSecret: credentials.createApp({ name: 'app', permissions: null }).clientSecret.reveal(),
    }));
    const jwt = forgeToken({ claims: { sub: 'ci' }, key: SHARED });
    const pair = await engine.createClientCertificate('laptop');
    const tokens = [pat, restricted, auth.token, rotated.token, jwt];
    for (const token of tokens) {
      await engine.connectAgent({ token }).catch(() => {});
      await engine.connectAgent({ token: `${token}x` }).catch(() => {});
      await engine.connectAgent({ token, clientCertificate: pair }).catch(() => {});
      await privateDial({ port: engine.port, target: 'nowhere', token }).catch(() => {});
      await askApi(engine, '/api/tunnels', token);
      await askApi(engine, `/api/tunnels?rstream.token=${token}`);
    }
    engine.revokeToken('pat');
    await engine.connectAgent({ token: pat }).catch(() => {});
    await engine.stop();
    const secrets = [
      ...tokens.map((token) => token.split('.')[2]!),
      clientSecret.slice(-80),
      SHARED,
      pair.key.split('\n')[2]!,
    ];
    const files = readdirSync(engine.directory).filter((name) => /\.db/.test(name));
    const places: [string, Buffer][] = [
      ['the log', Buffer.from(JSON.stringify(engine.log.lines))],
      ...files.map((name): [string, Buffer] => [name, readFileSync(join(engine.directory, name))]),
    ];
    for (const [place, content] of places)
      for (const secret of secrets) assert.equal(content.includes(secret), false, place);
    const { keys } = JSON.parse(readFileSync(join(engine.directory, 'engine.signing-key'), 'utf8'));
    for (const [place, content] of places)
      assert.equal(content.includes(Buffer.from(keys[0].secret, 'base64url')), false, place);
  });
});
