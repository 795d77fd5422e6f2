import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { EngineError, ERRORS } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createLogger } from '../../src/base/log.ts';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { Secret, sha256Hex } from '../../src/base/secret.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { createFakeClock } from '../support/clock.ts';
import { type Forgery, forgeToken, openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SHARED = 'the shared secret of the operator, 32 bytes and more';
const ORDER = { name: 'agent', permissions: null };

const setUp = (t: TestContext, { path }: { path?: string } = {}) => {
  const clock = createFakeClock();
  const database = openTestDatabase(t, path);
  const needs = { database, clock, engineHost: 'edge.example.com' };
  const credentials = createCredentials({ ...needs, jwtSecret: new Secret(SHARED) });
  const seconds = Math.floor(clock.now() / 1_000);
  return { clock, database, needs, credentials, seconds };
};

// The keys of a database in memory end with it.
const onDisk = (t: TestContext) => ({ path: join(makeTemporaryDirectory(t), 'engine.db') });

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;

const shared = (claims: object, more: Partial<Forgery> = {}) => forgeToken({ claims, key: SHARED, ...more });

describe('a token of the engine', () => {
  test('names type, issuer, id and times, and no permissions', async (t) => {
    const { credentials, seconds, clock } = setUp(t);
    const order = { ...ORDER, permissions: [PERMISSIONS.manageTunnels], expiresAt: clock.now() + 90_500 };
    const { record, token } = await credentials.createToken(order);
    const { jti, ...claims } = claimsOf(token);
    assert.match(String(jti), /^\w{20}$/);
    assert.deepEqual(claims, {
      type: 'pat',
      iss: 'edge.example.com',
      sub: record.id,
      iat: seconds,
      exp: seconds + 90,
    });
    assert.deepEqual(record, {
      id: record.id,
      kind: 'pat',
      name: 'agent',
      permissions: [PERMISSIONS.manageTunnels],
      createdAt: clock.now(),
      expiresAt: (seconds + 90) * 1_000,
    });
  });

  test('proves its record', async (t) => {
    const { credentials } = setUp(t);
    const all = await credentials.createToken(ORDER);
    assert.deepEqual(await credentials.verify(all.token), {
      credentialId: all.record.id,
      kind: 'pat',
      proof: sha256Hex(all.token),
      permissions: null,
    });
    const { readResources } = PERMISSIONS;
    const few = await credentials.createToken({ name: 'few', permissions: [readResources, readResources] });
    assert.deepEqual((await credentials.verify(few.token)).permissions, new Set([readResources]));
  });

  test('is in the database as its hash only', async (t) => {
    const { credentials, database } = setUp(t);
    const { token } = await credentials.createToken(ORDER);
    const rows = database.use((connection) => connection.prepare('SELECT * FROM proofs').all());
    assert.ok(JSON.stringify(rows).includes(sha256Hex(token)));
    for (const part of token.split('.')) assert.equal(JSON.stringify(rows).includes(part), false);
    assert.equal(database.use((connection) => connection.serialize()).includes(token), false);
  });

  test('stays valid when the engine starts again and needs no shared secret', async (t) => {
    const { credentials, needs } = setUp(t, onDisk(t));
    const { token } = await credentials.createToken(ORDER);
    await createCredentials(needs).verify(token);
  });

  test('expires on time, verified before or not', async (t) => {
    const { credentials, clock, needs } = setUp(t, onDisk(t));
    const { token } = await credentials.createToken({ ...ORDER, expiresAt: clock.now() + 60_000 });
    const principal = await credentials.verify(token);
    clock.advance(59_999);
    await credentials.verify(token);
    assert.equal(credentials.isActive(principal), true);
    clock.advance(1);
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_EXPIRED' });
    await assert.rejects(createCredentials(needs).verify(token), { code: 'TOKEN_EXPIRED' });
    clock.advance(LIMITS.clockSkewMs);
    await assert.rejects(createCredentials(needs).verify(token), { code: 'TOKEN_EXPIRED' });
  });

  test('is refused when revoked, by name or id, and so are its live sessions', async (t) => {
    const { credentials, clock } = setUp(t);
    for (const pick of ['name', 'id'] as const) {
      const { record, token } = await credentials.createToken(ORDER);
      const principal = await credentials.verify(token);
      assert.equal(credentials.revokeToken(record[pick]).revokedAt, clock.now());
      assert.equal(credentials.isActive(principal), false);
      await assert.rejects(credentials.verify(token), { code: 'TOKEN_REVOKED' });
    }
    assert.equal(credentials.listTokens().length, 2);
  });

  test('is refused when it is revoked while it is being verified', async (t) => {
    const { credentials } = setUp(t);
    const { token } = await credentials.createToken(ORDER);
    const verdict = credentials.verify(token);
    credentials.revokeToken('agent');
    await assert.rejects(verdict, { code: 'TOKEN_REVOKED' });
  });

  test('is refused at once when another process revokes it', async (t) => {
    const path = join(makeTemporaryDirectory(t), 'engine.db');
    const { credentials } = setUp(t, { path });
    const { token } = await credentials.createToken(ORDER);
    const principal = await credentials.verify(token);
    setUp(t, { path }).credentials.revokeToken('agent');
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_REVOKED' });
  });

  test('needs its record: the signature alone opens nothing', async (t) => {
    const { credentials, database } = setUp(t);
    const { token } = await credentials.createToken(ORDER);
    const principal = await credentials.verify(token);
    database.use((connection) => connection.exec('DELETE FROM proofs; DELETE FROM credentials'));
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(createCredentials(setUp(t).needs).verify(token), { code: 'TOKEN_INVALID' });
  });

  test('needs its signature: the stored hash alone opens nothing', async (t) => {
    const { credentials, database } = setUp(t);
    await credentials.createToken(ORDER);
    const forged = shared({ type: 'pat' });
    database.use((connection) => connection.prepare('UPDATE proofs SET hash = ?').run(sha256Hex(forged)));
    await assert.rejects(credentials.verify(forged), { code: 'TOKEN_INVALID' });
  });
});

describe('an order for a token', () => {
  const bad: [string, Parameters<ReturnType<typeof setUp>['credentials']['createToken']>[0]][] = [
    ['without a name', { ...ORDER, name: '' }],
    ['with a blank name', { ...ORDER, name: ' ' }],
    ['with a name that ends in a space', { ...ORDER, name: 'a ' }],
    ['with a line break in its name', { ...ORDER, name: 'a\nb' }],
    ['with an escape in its name', { ...ORDER, name: 'a\u001b[31m' }],
    ['with a name that turns text around', { ...ORDER, name: 'a\u202eb' }],
    ['with a name that is too long', { ...ORDER, name: 'x'.repeat(LIMITS.credentialNameCharsMax + 1) }],
    ['that has expired', { ...ORDER, expiresAt: 1 }],
    ['that expires at no time', { ...ORDER, expiresAt: Number.NaN }],
    ['that expires after all calendars', { ...ORDER, expiresAt: 1e15 }],
  ];
  for (const [name, order] of bad)
    test(`is refused ${name}`, async (t) => {
      const { credentials } = setUp(t);
      await assert.rejects(credentials.createToken(order), { code: 'CREDENTIAL_INVALID' });
      assert.deepEqual(credentials.listTokens(), []);
    });

  test('is refused with an unknown permission, and told those that exist', async (t) => {
    const { credentials } = setUp(t);
    const order = { ...ORDER, permissions: [PERMISSIONS.manageTunnels, 'tunnels.everything'] };
    await assert.rejects(credentials.createToken(order), {
      code: 'CREDENTIAL_INVALID',
      message: new RegExp(Object.values(PERMISSIONS).join(', ')),
    });
  });

  test('is refused when a live token has its name', async (t) => {
    const { credentials } = setUp(t);
    await credentials.createToken(ORDER);
    await assert.rejects(credentials.createToken(ORDER), { code: 'CREDENTIAL_INVALID', message: /"agent"/ });
    credentials.revokeToken('agent');
    await credentials.createToken(ORDER);
  });

  for (const name of ['x', 'Ünïcode 机器 #1 (ci)', 'y'.repeat(LIMITS.credentialNameCharsMax)])
    test(`is taken with the name ${name.slice(0, 24)}`, async (t) => {
      assert.equal((await setUp(t).credentials.createToken({ ...ORDER, name })).record.name, name);
    });
});

describe('a token of the operator', () => {
  test('is valid by its signature alone and unrestricted without permissions', async (t) => {
    const { credentials } = setUp(t);
    assert.deepEqual(await credentials.verify(shared({ sub: 'ci' })), {
      credentialId: 'jwt:ci',
      kind: 'jwt',
      permissions: null,
    });
  });

  test('has the permissions that it claims', async (t) => {
    const claims = { permissions: [PERMISSIONS.readResources] };
    const { permissions } = await setUp(t).credentials.verify(shared(claims));
    assert.deepEqual(permissions, new Set([PERMISSIONS.readResources]));
  });

  test('is forgiven 60 seconds of clock difference, and its session lives as long', async (t) => {
    const { credentials, clock, seconds } = setUp(t);
    const token = shared({ exp: seconds - 59, nbf: seconds + 60 });
    const principal = await credentials.verify(token);
    assert.equal(credentials.isActive(principal), true);
    clock.advance(1_000);
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_EXPIRED' });
    await assert.rejects(credentials.verify(shared({ exp: seconds - 59 })), { code: 'TOKEN_EXPIRED' });
    await assert.rejects(credentials.verify(shared({ nbf: seconds + 62 })), { code: 'TOKEN_INVALID' });
  });

  test('is invalid on an engine without a shared secret', async (t) => {
    await assert.rejects(createCredentials(setUp(t).needs).verify(shared({})), { code: 'TOKEN_INVALID' });
  });

  test('is refused with boundaries that the engine does not enforce', async (t) => {
    const resources = { tunnels: { scopes: { tunnels: { connect: { params: { path: '/a' } } } } } };
    await assert.rejects(setUp(t).credentials.verify(shared({ resources })), {
      code: 'BOUNDARIES_NOT_ENFORCED',
    });
  });
});

describe('a token that is not right', () => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'pem',
  });
  const good = shared({ sub: 'ci' });
  const [header, payload, signature] = good.split('.') as [string, string, string];
  const wrong: [string, string][] = [
    ['alg none', shared({}, { header: { alg: 'none' }, digest: null })],
    ['alg None with a signature', shared({}, { header: { alg: 'None' } })],
    ['alg HS512 with its digest', shared({}, { header: { alg: 'HS512' }, digest: 'sha512' })],
    ['alg HS512 with an HS256 digest', shared({}, { header: { alg: 'HS512' } })],
    ['alg ES256', shared({}, { header: { alg: 'ES256' } })],
    ['no alg', shared({}, { header: { alg: undefined } })],
    ['another key', shared({}, { key: 'another key' })],
    ['an empty key', shared({}, { key: '' })],
    [
      'a key that it brings itself',
      shared({}, { key: pem as string, header: { jwk: { kty: 'oct', k: 'AA' } } }),
    ],
    ['a crit header', shared({}, { header: { crit: ['exp'], exp: 1 } })],
    ['a crit header that the library knows', shared({}, { header: { crit: ['b64'], b64: true } })],
    ['b64 false', shared({}, { header: { crit: ['b64'], b64: false } })],
    ['other claims below the same signature', `${header}.${payload.slice(0, -2)}fQ.${signature}`],
    ['a signature cut short', good.slice(0, -1)],
    ['no signature', `${header}.${payload}.`],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${good}.x`],
    ['five parts, as if encrypted', `${good}.x.x`],
    ['a space behind it', `${good} `],
    ['a line break inside it', `${header}\n.${payload}.${signature}`],
    ['claims that are no object', shared([1])],
    ['claims that are null', shared(null as unknown as object)],
    ['an exp that is a text', shared({ exp: '2099-01-01' })],
    ['an nbf that is null', shared({ nbf: null })],
    ['permissions of another type', shared({ permissions: 'all' })],
    ['no shape at all', 'not a token'],
    ['unpaired surrogates', '\ud800.\ud800.\ud800'],
    ['too many characters', shared({ padding: 'x'.repeat(LIMITS.tokenCharsMax) })],
  ];
  for (const [name, token] of wrong)
    test(`is invalid: ${name}`, async (t) => {
      await assert.rejects(setUp(t).credentials.verify(token), { code: 'TOKEN_INVALID' });
    });

  test('is invalid with one changed character anywhere in an engine token', async (t) => {
    const { credentials } = setUp(t);
    const { token } = await credentials.createToken(ORDER);
    for (let at = 0; at < token.length; at += 7) {
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      await assert.rejects(credentials.verify(changed), { code: 'TOKEN_INVALID' }, `at ${at}`);
    }
  });

  test('is missing when there is none', async (t) => {
    const { credentials } = setUp(t);
    for (const none of [undefined, ''])
      await assert.rejects(credentials.verify(none), { code: 'TOKEN_MISSING' });
  });

  test('leaves no part of itself in the error or its log line', async (t) => {
    const { credentials } = setUp(t);
    const lines: string[] = [];
    const log = createLogger('debug', { write: (line) => void lines.push(line) });
    const claims = { exp: 1, sub: 'a subject', metadata: { note: 'a marked claim' } };
    const tokens = [...wrong.map(([, token]) => token), shared(claims), shared({ ...claims, exp: 'x' })];
    for (const token of tokens) {
      const error = await credentials.verify(token).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof EngineError);
      log.error({ error }, ERRORS[error.code].message);
      const shown = inspect(error, { depth: null, showHidden: true }) + lines.join('');
      for (const part of token.split('.').filter(({ length }) => length > 12))
        assert.equal(shown.includes(part), false, error.code);
      assert.equal(/a subject|a marked claim/.test(shown), false);
      assert.equal(shown.includes(SHARED), false);
    }
  });

  test('is not repeated by a revocation that was given the token itself', async (t) => {
    const { credentials } = setUp(t);
    const { token } = await credentials.createToken(ORDER);
    assert.throws(
      () => credentials.revokeToken(token),
      (thrown) => {
        assert.ok(thrown instanceof EngineError && thrown.code === 'CREDENTIAL_NOT_FOUND');
        const shown = inspect(thrown, { depth: null });
        return token
          .split('.')
          .slice(1)
          .every((part) => !shown.includes(part));
      },
    );
  });
});

describe('the memory of verified tokens', () => {
  test('spares the store, forgets the oldest at its bound, and never answers wrongly', async (t) => {
    const { credentials, database } = setUp(t);
    const tokens = Array.from({ length: LIMITS.tokenCacheMax + 1 }, (_, at) => shared({ sub: `s${at}` }));
    const first = await credentials.verify(tokens[0]!);
    assert.equal(await credentials.verify(tokens[0]!), first, 'the same object: remembered');
    for (const token of tokens) await credentials.verify(token);
    const again = await credentials.verify(tokens[0]!);
    assert.notEqual(again, first);
    assert.deepEqual(again, first);
    assert.equal(await credentials.verify(tokens.at(-1)!), await credentials.verify(tokens.at(-1)!));
    database.close();
  });

  test('ends with a revocation of any token', async (t) => {
    const { credentials } = setUp(t);
    await credentials.createToken(ORDER);
    const before = await credentials.verify(shared({ sub: 'ci' }));
    credentials.revokeToken('agent');
    assert.notEqual(await credentials.verify(shared({ sub: 'ci' })), before);
  });
});

describe('a token that is known', () => {
  test('is one that was verified, until it expires', async (t) => {
    const { credentials, clock } = setUp(t);
    const { record, token } = await credentials.createToken({ ...ORDER, expiresAt: clock.now() + 60_000 });
    assert.equal(credentials.knownToken(token), undefined);
    await credentials.verify(token);
    assert.equal(credentials.knownToken(token)?.credentialId, record.id);
    assert.equal(credentials.knownToken(`${token}x`), undefined);
    assert.equal(credentials.knownToken('x'.repeat(LIMITS.tokenCharsMax + 1)), undefined);
    clock.advance(60_000);
    assert.equal(credentials.knownToken(token), undefined);
  });

  test('is forgotten with the first change of another process', async (t) => {
    const where = onDisk(t);
    const { credentials } = setUp(t, where);
    const { token } = await credentials.createToken(ORDER);
    await credentials.verify(token);
    setUp(t, where).credentials.revokeToken('agent');
    assert.equal(credentials.knownToken(token), undefined);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_REVOKED' });
  });
});
