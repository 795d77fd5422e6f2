/** Who gets into the Admin API, and who does not, over real sockets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { forgeToken } from '../support/store.ts';
import { askAdmin, askWithToken, logIn, PASSWORD, startAdminEngine, withAdmins } from './ask-admin.ts';

const SHARED = 'a-shared-secret-of-more-than-32-bytes';

describe('logging in', () => {
  test('takes a one-time link once, then the password; the cookie is for this host, TLS and our own page alone', async (t) => {
    const engine = await startAdminEngine(t);
    const { answer, ask, link, origin } = await logIn(engine, 'owner');
    assert.equal(answer.status, 200);
    assert.match(
      String(answer.headers['set-cookie']),
      /^__Host-rstream_admin=\w{52}; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
    );
    assert.equal((await ask('GET', '/session')).body.admin.name, 'owner');

    const again = { link: link.reveal(), password: PASSWORD };
    const used = await askAdmin(engine, 'POST', '/api/admin/session/link', again, { origin });
    assert.deepEqual([used.status, used.body.code], [401, 'LOGIN_LINK_INVALID']);
    const login = (password: string) =>
      askAdmin(engine, 'POST', '/api/admin/session', { name: 'owner', password }, { origin });
    assert.equal((await login('wrong')).body.code, 'LOGIN_INVALID');
    assert.equal((await login(PASSWORD)).status, 200);
  });

  test('slows down after wrong passwords, and says for how long', async (t) => {
    const engine = await startAdminEngine(t);
    await withAdmins(engine, (admins) => admins.create({ name: 'owner', role: 'admin' }));
    const guess = () => askAdmin(engine, 'POST', '/api/admin/session', { name: 'owner', password: 'guess' });
    let refused = await guess();
    // Hashing takes its time as well, so the first waits may be over before they begin.
    for (let count = 1; refused.status === 401 && count < 12; count += 1) refused = await guess();
    assert.deepEqual([refused.status, refused.body.code], [429, 'LOGIN_THROTTLED']);
    assert.equal(refused.headers['retry-after'], String(refused.body.retry_after));
    assert.equal(refused.headers['content-type'], 'application/problem+json');
  });

  test('ends with logging out, with being logged out, and with being removed', async (t) => {
    const engine = await startAdminEngine(t);
    const owner = await logIn(engine, 'owner');
    const second = await logIn(engine, 'second');
    const third = await logIn(engine, 'third');
    assert.equal((await owner.ask('DELETE', '/session')).status, 204);
    const ended = await owner.ask('GET', '/session');
    assert.deepEqual([ended.status, ended.body.code], [401, 'SESSION_ENDED']);
    assert.match(String(ended.headers['set-cookie']), /Max-Age=0/);

    const { items } = (await second.ask('GET', '/sessions')).body;
    const other = items.find((item: { admin_name: string }) => item.admin_name === 'third');
    assert.equal((await second.ask('DELETE', `/sessions/${other.id}`)).status, 204);
    assert.equal((await third.ask('GET', '/overview')).status, 401);
    // As the command line does, in another process.
    await withAdmins(engine, (admins) => admins.remove('second'));
    assert.equal((await second.ask('GET', '/overview')).status, 401);
  });
});

describe('a request that was not meant for the page is refused', () => {
  test('under a host name that somebody else leads here', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask } = await logIn(engine, 'owner');
    for (const host of ['evil.example', `evil.example:${engine.adminPort}`, 'localhost', 'localhost:1']) {
      const { status, body } = await ask('GET', '/overview', undefined, { host });
      assert.deepEqual([status, body.code], [421, 'ADMIN_HOST_UNKNOWN'], host);
    }
    for (const host of ['localhost', '127.0.0.1', '[::1]', 'LOCALHOST'])
      assert.equal(
        (
          await ask('GET', '/overview', undefined, {
            host: `${host}:${engine.adminPort}`,
            origin: undefined,
          })
        ).status,
        200,
      );
    assert.equal((await askAdmin(engine, 'GET', '/', undefined, { host: 'evil.example' })).status, 421);
  });

  test('from the page of another site, with a cookie or without', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask, origin } = await logIn(engine, 'owner');
    const create = { name: 'stolen', permissions: null };
    const forged: Record<string, string | undefined>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `http://localhost:${engine.adminPort}` },
      { origin: 'https://localhost:8443' },
      { origin: undefined, 'sec-fetch-site': undefined },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
    ];
    for (const headers of forged) {
      const { status, body } = await ask('POST', '/tokens', create, headers);
      assert.deepEqual([status, body.code], [403, 'ORIGIN_FORBIDDEN'], JSON.stringify(headers));
    }
    const login = { name: 'owner', password: PASSWORD };
    const foreign = await askAdmin(engine, 'POST', '/api/admin/session', login, {
      origin: 'https://evil.example',
    });
    assert.equal(foreign.body.code, 'ORIGIN_FORBIDDEN');
    // What a form can send without asking.
    const form = await ask('POST', '/tokens', JSON.stringify(create), {
      'content-type': 'text/plain',
      origin,
    });
    assert.deepEqual([form.status, form.body.code], [400, 'ADMIN_REQUEST_INVALID']);
    assert.deepEqual((await ask('GET', '/tokens')).body.items, []);
  });

  test('without a proof, or with two', async (t) => {
    const engine = await startAdminEngine(t);
    const { ask, cookie } = await logIn(engine, 'owner');
    const token = await engine.createToken('automation', ['engine.admin']);
    const none = await ask('GET', '/overview', undefined, { cookie: undefined });
    assert.deepEqual([none.status, none.body.code], [401, 'LOGIN_REQUIRED']);
    const both = await ask('GET', '/overview', undefined, { authorization: `Bearer ${token}` });
    assert.equal(both.body.code, 'AMBIGUOUS_PROOF');
    const twice = await ask('GET', '/overview', undefined, { cookie: `${cookie}; ${cookie}` });
    assert.equal(twice.body.code, 'AMBIGUOUS_PROOF');
  });
});

describe('a token', () => {
  test('works with the permission by name, and only if the engine recorded it', async (t) => {
    const engine = await startAdminEngine(t, { auth: { jwt: { token_jwt_secret: SHARED } } });
    const automation = await engine.createToken('automation', ['engine.admin']);
    assert.equal((await askWithToken(engine, automation)('GET', '/overview')).status, 200);
    assert.equal(
      (await askWithToken(engine, automation)('POST', '/tokens', { name: 'made', permissions: null })).status,
      201,
    );

    const unrestricted = await engine.createToken('unrestricted');
    const minted = await askWithToken(engine, unrestricted)('POST', '/auth-tokens', {});
    const others = {
      unrestricted,
      restricted: await engine.createToken('restricted', ['tunnels.resources.read-only']),
      'auth token': minted.body.token as string,
      'token of the operator': forgeToken({
        claims: { sub: 'ci', permissions: ['engine.admin'] },
        key: SHARED,
      }),
    };
    for (const [name, token] of Object.entries(others)) {
      const { status, body } = await askWithToken(engine, token)('GET', '/overview');
      assert.deepEqual([status, body.code], [403, 'PERMISSION_MISSING'], name);
    }
    for (const body of [{ permissions: ['engine.admin'] }, { source: 'automation' }]) {
      const refused = await askWithToken(engine, unrestricted)('POST', '/auth-tokens', body);
      assert.ok(refused.status >= 400, JSON.stringify(body));
    }
    engine.revokeToken('automation');
    assert.equal((await askWithToken(engine, automation)('GET', '/overview')).body.code, 'TOKEN_REVOKED');
  });

  test('mints auth tokens with what it may do, or less', async (t) => {
    const engine = await startAdminEngine(t);
    const reader = await engine.createToken('reader', ['tunnels.resources.read-only']);
    const ask = askWithToken(engine, reader);
    const made = await ask('POST', '/auth-tokens', { expires_in: 30 });
    assert.equal(made.status, 201);
    const claims = JSON.parse(Buffer.from(made.body.token.split('.')[1], 'base64url').toString());
    assert.deepEqual(claims.permissions, ['tunnels.resources.read-only']);
    const more = await ask('POST', '/auth-tokens', { permissions: ['tunnels.tunnels.create-delete'] });
    assert.deepEqual([more.status, more.body.code], [400, 'CREDENTIAL_INVALID']);
    const chained = await askWithToken(engine, made.body.token)('POST', '/auth-tokens', {});
    assert.equal(chained.body.code, 'CREDENTIAL_INVALID');
  });
});

describe('a viewer', () => {
  test('reads everything and changes nothing but the own login', async (t) => {
    const engine = await startAdminEngine(t);
    await logIn(engine, 'owner');
    const { ask, id } = await logIn(engine, 'guest', 'viewer');
    for (const path of [
      '/overview',
      '/tunnels',
      '/agents',
      '/tokens',
      '/applications',
      '/certificates',
      '/admins',
      '/audit',
      '/audit/verify',
    ])
      assert.equal((await ask('GET', path)).status, 200, path);
    const writes: [string, string, unknown?][] = [
      ['POST', '/tokens', { name: 'x', permissions: null }],
      ['DELETE', '/tunnels/tun_x'],
      ['DELETE', '/agents/cli_x'],
      ['POST', '/applications', { name: 'x', permissions: null }],
      ['POST', '/certificates', { name: 'x', permissions: null }],
      ['POST', '/admins', { name: 'x', role: 'admin' }],
      ['POST', `/admins/${id}/link`],
    ];
    for (const [method, path, body] of writes) {
      const answer = await ask(method, path, body);
      assert.deepEqual([answer.status, answer.body.code], [403, 'ROLE_MISSING'], path);
    }
    const { items } = (await ask('GET', '/sessions')).body;
    assert.deepEqual(
      items.map((item: { admin_name: string }) => item.admin_name),
      ['guest'],
    );
    const next = 'another horse battery';
    assert.equal((await ask('POST', '/session/password', { password: PASSWORD, next })).status, 204);
  });
});
