/** Three families of tokens, each with one algorithm and one kind of key: what they prove, and that none passes for another. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { Secret } from '../../src/base/secret.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { createFakeClock } from '../support/clock.ts';
import { forgeToken, openTestDatabase } from '../support/store.ts';

const SHARED = 'the shared secret of the operator, 32 bytes and more';
const { readResources, manageTunnels, manageStreams } = PERMISSIONS;
const LIST_ONLY = { tunnels: { scopes: { tunnels: { list: true } } } };
const MINUTE_MS = 60_000;

const setUp = (t: TestContext) => {
  const clock = createFakeClock();
  const database = openTestDatabase(t);
  const jwtSecret = new Secret(SHARED);
  const credentials = createCredentials({ database, clock, engineHost: 'edge.example.com', jwtSecret });
  return { clock, database, credentials, seconds: Math.floor(clock.now() / 1_000) };
};

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());

const keyFromSecret = (secret: string): KeyObject =>
  createPrivateKey({ key: Buffer.from(secret, 'hex'), format: 'der', type: 'pkcs8' });

/** Signs as `node:crypto` lets any program do, without a library. */
const signToken = (key: KeyObject, claims: object, header: object = {}): string => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'ES512', typ: 'JWT', ...header })}.${encode(claims)}`;
  const signature = sign('sha512', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
};

/** An application with all permissions and a way to make its tokens. */
const setUpApp = (t: TestContext, permissions: readonly string[] | null = null) => {
  const room = setUp(t);
  const { record, clientSecret } = room.credentials.createApp({ name: 'ci', permissions });
  const key = keyFromSecret(clientSecret.reveal());
  const claims = {
    type: 'app',
    clientId: record.id,
    permissions: null,
    iat: room.seconds,
    exp: room.seconds + 60,
  };
  const tokenWith = (more: object = {}, header: object = {}) =>
    signToken(key, { ...claims, ...more }, header);
  return { ...room, record, clientSecret, key, claims, tokenWith };
};

describe('an auth token', () => {
  test('has the claims that official clients read, and proves its source', async (t) => {
    const { credentials, seconds } = setUp(t);
    const { record, token } = await credentials.createToken({ name: 'ci', permissions: null });
    const source = await credentials.verify(token);
    const minted = await credentials.mintAuthToken({
      source,
      permissions: [readResources],
      resources: LIST_ONLY,
      expiresInSeconds: 60,
    });
    assert.deepEqual(claimsOf(minted.token), {
      type: 'auth',
      userId: record.id,
      permissions: [readResources],
      resources: LIST_ONLY,
      sourceCredentialId: record.id,
      sourceCredentialUpdatedAt: new Date(record.createdAt).toISOString(),
      iss: 'edge.example.com',
      iat: seconds,
      exp: seconds + 60,
    });
    assert.deepEqual(await credentials.verify(minted.token), {
      credentialId: record.id,
      kind: 'auth',
      proof: source.proof,
      userId: record.id,
      permissions: new Set([readResources]),
      expiresAt: minted.expiresAt,
    });
    assert.equal(minted.expiresAt, (seconds + 60) * 1_000);
  });

  test('never has more permissions than its source, nor a longer life', async (t) => {
    const { credentials, clock } = setUp(t);
    const permissions = [readResources, manageTunnels];
    const expiresAt = clock.now() + 30_000;
    const { token } = await credentials.createToken({ name: 'ci', permissions, expiresAt });
    const source = await credentials.verify(token);
    await assert.rejects(
      credentials.mintAuthToken({ source, permissions: [manageStreams], expiresInSeconds: 60 }),
      { code: 'CREDENTIAL_INVALID', message: /lacks the permission tunnels\.streams\.create-delete/ },
    );
    const minted = await credentials.mintAuthToken({ source, permissions: null, expiresInSeconds: 3_600 });
    const principal = await credentials.verify(minted.token);
    assert.deepEqual([minted.expiresAt, principal.expiresAt], [expiresAt, expiresAt]);
    assert.deepEqual(principal.permissions, new Set(permissions));
    // And nor has what is minted from it.
    await assert.rejects(
      credentials.mintAuthToken({ source: principal, permissions: [manageStreams], expiresInSeconds: 1 }),
      { code: 'CREDENTIAL_INVALID' },
    );
  });

  for (const expiresInSeconds of [0, -1, 1.5, 3_601, Number.NaN, Number.POSITIVE_INFINITY])
    test(`is refused with a life of ${expiresInSeconds} seconds`, async (t) => {
      const { credentials } = setUp(t);
      await credentials.createToken({ name: 'ci', permissions: null });
      const source = credentials.principalOf('ci');
      await assert.rejects(credentials.mintAuthToken({ source, permissions: null, expiresInSeconds }), {
        code: 'CREDENTIAL_INVALID',
      });
    });

  test('is refused with resources that grant more than listing', async (t) => {
    const { credentials } = setUp(t);
    await credentials.createToken({ name: 'ci', permissions: null });
    const source = credentials.principalOf('ci');
    const resources = { tunnels: { scopes: { tunnels: { create: true } } } };
    await assert.rejects(
      credentials.mintAuthToken({ source, permissions: null, resources, expiresInSeconds: 60 }),
      { code: 'BOUNDARIES_NOT_ENFORCED' },
    );
  });

  test('ends on time, by our own clock', async (t) => {
    const { credentials, clock } = setUp(t);
    await credentials.createToken({ name: 'ci', permissions: null });
    const source = credentials.principalOf('ci');
    const { token } = await credentials.mintAuthToken({ source, permissions: null, expiresInSeconds: 60 });
    const principal = await credentials.verify(token);
    clock.advance(MINUTE_MS - 1);
    assert.ok(credentials.isActive(principal));
    clock.advance(1);
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_EXPIRED' });
  });

  test('ends with its source: revoked, or rotated once the grace is over', async (t) => {
    const { credentials, clock } = setUp(t);
    await credentials.createToken({ name: 'ci', permissions: null });
    const mint = async () => {
      const order = { source: credentials.principalOf('ci'), permissions: null, expiresInSeconds: 3_600 };
      return (await credentials.mintAuthToken(order)).token;
    };
    const first = await mint();
    await credentials.rotateToken('ci', { graceMs: MINUTE_MS });
    const second = await mint();
    const principal = await credentials.verify(first);
    clock.advance(MINUTE_MS);
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(first), { code: /TOKEN_(EXPIRED|REVOKED)/ });
    const other = await credentials.verify(second);
    credentials.revokeToken('ci');
    assert.equal(credentials.isActive(other), false);
    await assert.rejects(credentials.verify(second), { code: 'TOKEN_REVOKED' });
  });

  test('may be minted from a token of the operator, and ends with it', async (t) => {
    const { credentials, clock, database, seconds } = setUp(t);
    const claims = { sub: 'ci', exp: seconds + 60, permissions: [readResources] };
    const source = await credentials.verify(forgeToken({ claims, key: SHARED }));
    const { token } = await credentials.mintAuthToken({ source, permissions: null, expiresInSeconds: 600 });
    const principal = await credentials.verify(token);
    assert.deepEqual(
      [principal.credentialId, principal.permissions, principal.expiresAt],
      ['jwt:ci', new Set([readResources]), (seconds + 60) * 1_000],
    );
    assert.ok(credentials.isActive(principal));
    const without = createCredentials({ database, clock, engineHost: 'edge.example.com' });
    await assert.rejects(without.verify(token));
  });

  test('with a source of another engine is refused, whoever signed it', async (t) => {
    const { credentials, seconds } = setUp(t);
    const claims = {
      type: 'auth',
      userId: 'u',
      permissions: null,
      iat: seconds,
      exp: seconds + 60,
      sourceCredentialId: 'crd_elsewhere',
    };
    await assert.rejects(credentials.verify(forgeToken({ claims, key: SHARED })), { code: 'TOKEN_INVALID' });
  });
});

describe('an application', () => {
  test('has a secret that is a P-521 key in PKCS#8, and leaves only the public key in the store', (t) => {
    const { clientSecret, database, key } = setUpApp(t);
    assert.match(clientSecret.reveal(), /^[0-9a-f]+$/);
    assert.equal(key.asymmetricKeyDetails?.namedCurve, 'secp521r1');
    const { d } = key.export({ format: 'jwk' });
    const image = database.use((connection) => connection.serialize());
    for (const trace of [clientSecret.reveal(), d!]) assert.equal(image.includes(trace), false);
    assert.equal(image.includes(Buffer.from(d!, 'base64url')), false);
  });

  test('proves itself by the tokens that it signs', async (t) => {
    const { credentials, record, tokenWith, seconds } = setUpApp(t);
    assert.deepEqual(await credentials.verify(tokenWith()), {
      credentialId: record.id,
      kind: 'app',
      proof: credentials.show('app', 'ci').proofs[0],
      permissions: null,
      expiresAt: (seconds + 60) * 1_000 + LIMITS.clockSkewMs,
    });
  });

  for (const [stored, claimed, effective] of [
    [null, [readResources], [readResources]],
    [[readResources, manageTunnels], null, [readResources, manageTunnels]],
    [[readResources, manageTunnels], [manageTunnels, manageStreams], [manageTunnels]],
    [[readResources], [manageStreams], []],
    [[], null, []],
    [null, null, null],
  ] as const)
    test(`with ${JSON.stringify(stored)} and a token with ${JSON.stringify(claimed)} may ${JSON.stringify(effective)}`, async (t) => {
      const { credentials, tokenWith } = setUpApp(t, stored);
      const { permissions } = await credentials.verify(tokenWith({ permissions: claimed }));
      assert.deepEqual(permissions && [...permissions], effective);
    });

  test('restricted to lists by its token reads and does nothing else', async (t) => {
    const { credentials, tokenWith } = setUpApp(t);
    const { permissions } = await credentials.verify(tokenWith({ resources: LIST_ONLY }));
    assert.deepEqual(permissions, new Set([readResources]));
    const resources = { tunnels: { ...LIST_ONLY.tunnels, projects: ['p'] } };
    await assert.rejects(credentials.verify(tokenWith({ resources })), { code: 'BOUNDARIES_NOT_ENFORCED' });
  });

  test('signs tokens for an hour at most, issued 300 seconds ahead of our clock at most', async (t) => {
    const { credentials, tokenWith, seconds } = setUpApp(t);
    await credentials.verify(tokenWith({ exp: seconds + 3_600 }));
    await credentials.verify(tokenWith({ iat: seconds + 300, exp: seconds + 360 }));
    for (const more of [
      { exp: seconds + 3_601 },
      { exp: seconds - 59, iat: seconds },
      { iat: seconds + 301, exp: seconds + 360 },
      { exp: undefined },
      { iat: undefined },
      { iat: String(seconds) },
    ])
      await assert.rejects(
        credentials.verify(tokenWith(more)),
        { code: 'TOKEN_INVALID' },
        JSON.stringify(more),
      );
  });

  test('is refused when revoked, and its sessions end', async (t) => {
    const { credentials, tokenWith } = setUpApp(t);
    const token = tokenWith();
    const principal = await credentials.verify(token);
    credentials.revoke('app', 'ci');
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(token), { code: 'TOKEN_REVOKED' });
  });

  test('has two secrets during the grace of a rotation, and then one', async (t) => {
    const { credentials, clock, tokenWith, claims } = setUpApp(t);
    const { clientSecret, record } = credentials.rotateApp('ci', { graceMs: MINUTE_MS });
    assert.equal(record.id, claims.clientId);
    const young = signToken(keyFromSecret(clientSecret.reveal()), { ...claims, exp: claims.exp + 600 });
    const old = tokenWith({ exp: claims.exp + 600 });
    const principal = await credentials.verify(old);
    await credentials.verify(young);
    clock.advance(MINUTE_MS);
    assert.equal(credentials.isActive(principal), false);
    await assert.rejects(credentials.verify(old), { code: /TOKEN_(EXPIRED|REVOKED)/ });
    await credentials.verify(young);
  });
});

describe('a rotated personal access token', () => {
  test('keeps its record and its permissions, and ends the old one at once or after the grace', async (t) => {
    const { credentials, clock } = setUp(t);
    const first = await credentials.createToken({ name: 'ci', permissions: [manageTunnels] });
    const second = await credentials.rotateToken('ci', { graceMs: MINUTE_MS });
    assert.deepEqual(second.record, first.record);
    assert.notEqual(second.token, first.token);
    const old = await credentials.verify(first.token);
    const young = await credentials.verify(second.token);
    assert.equal(old.credentialId, young.credentialId, 'names stay owned');
    assert.deepEqual(young.permissions, new Set([manageTunnels]));
    clock.advance(MINUTE_MS);
    assert.deepEqual([credentials.isActive(old), credentials.isActive(young)], [false, true]);
    await assert.rejects(credentials.verify(first.token), { code: /TOKEN_(EXPIRED|REVOKED)/ });

    const third = await credentials.rotateToken(first.record.id, { graceMs: 0 });
    assert.equal(credentials.isActive(young), false);
    await assert.rejects(credentials.verify(second.token), { code: 'TOKEN_REVOKED' });
    await credentials.verify(third.token);
    assert.equal(credentials.show('pat', 'ci').proofs.length, 3);
  });

  test('may get another expiry, and needs one when it has expired', async (t) => {
    const { credentials, clock } = setUp(t);
    const expiresAt = clock.now() + MINUTE_MS;
    const { record } = await credentials.createToken({ name: 'ci', permissions: null, expiresAt });
    clock.advance(MINUTE_MS);
    await assert.rejects(credentials.rotateToken(record.id, { graceMs: 0 }), { code: 'CREDENTIAL_INVALID' });
    const renewed = await credentials.rotateToken(record.id, {
      graceMs: 0,
      expiresAt: clock.now() + MINUTE_MS,
    });
    assert.equal((await credentials.verify(renewed.token)).expiresAt, expiresAt + MINUTE_MS);
  });

  test('is refused for one that is revoked or unknown, and with an endless grace', async (t) => {
    const { credentials } = setUp(t);
    const { record } = await credentials.createToken({ name: 'ci', permissions: null });
    for (const graceMs of [-1, Number.NaN, LIMITS.rotationGraceMsMax + 1])
      await assert.rejects(credentials.rotateToken('ci', { graceMs }), { code: 'CREDENTIAL_INVALID' });
    credentials.revokeToken('ci');
    await assert.rejects(credentials.rotateToken(record.id, { graceMs: 0 }), { code: 'CREDENTIAL_INVALID' });
    await assert.rejects(credentials.rotateToken('nobody', { graceMs: 0 }), { code: 'CREDENTIAL_NOT_FOUND' });
  });
});

describe('a token of one family passes for no other', () => {
  test('an app token is ES512 with the stored key, whatever its header says', async (t) => {
    const { credentials, tokenWith, claims, key, record, clientSecret } = setUpApp(t);
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-521' });
    const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicJwk = stranger.publicKey.export({ format: 'jwk' });
    const spki = keyPublicPem(key);
    const attempts: Record<string, string> = {
      'HS256 over the public key': forgeToken({ claims, key: spki }),
      'HS256 over the public key in DER': forgeToken({ claims, key: keyPublicDer(key) }),
      'HS256 over the shared secret': forgeToken({ claims, key: SHARED }),
      'HS512 over the client secret': forgeToken({
        claims,
        key: clientSecret.reveal(),
        header: { alg: 'HS512' },
        digest: 'sha512',
      }),
      none: forgeToken({ claims, header: { alg: 'none' }, digest: null }),
      'ES512 by a stranger': signToken(stranger.privateKey, claims),
      'ES512 by a stranger who brings the key': signToken(stranger.privateKey, claims, { jwk: publicJwk }),
      'ES512 by a stranger with a kid': signToken(stranger.privateKey, claims, { kid: record.id }),
      'ES512 by a stranger with a kid that is a path': signToken(stranger.privateKey, claims, {
        kid: '../../dev/null',
      }),
      'ES512 by a stranger with a kid that is SQL': signToken(stranger.privateKey, claims, {
        kid: "x' UNION SELECT hash FROM proofs --",
      }),
      'ES512 by a stranger with a jku': signToken(stranger.privateKey, claims, {
        jku: 'https://x.test/jwks',
      }),
      'ES256 in the header': tokenWith({}, { alg: 'ES256' }),
      'P-256 in the key': signToken(p256.privateKey, claims),
    };
    for (const [name, token] of Object.entries(attempts))
      await assert.rejects(credentials.verify(token), { code: 'TOKEN_INVALID' }, name);
    await credentials.verify(tokenWith({}, { kid: '../../dev/null', jku: 'https://x.test' }));
  });

  test('an application cannot speak for another, nor mint auth tokens or personal ones', async (t) => {
    const { credentials, tokenWith } = setUpApp(t, [readResources]);
    const other = credentials.createApp({ name: 'other', permissions: null }).record;
    const { record } = await credentials.createToken({ name: 'pat', permissions: null });
    for (const more of [
      { clientId: other.id },
      { clientId: 'crd_unknown' },
      { clientId: record.id },
      { clientId: { toString: () => other.id } },
      { type: 'auth', sourceCredentialId: record.id, userId: 'u' },
      { type: 'pat', jti: record.id },
      { type: undefined },
    ])
      await assert.rejects(
        credentials.verify(tokenWith(more)),
        { code: 'TOKEN_INVALID' },
        JSON.stringify(more),
      );
  });

  test('the id of an application claimed over the shared secret proves nothing', async (t) => {
    const { credentials, claims } = setUpApp(t);
    await assert.rejects(credentials.verify(forgeToken({ claims, key: SHARED })), { code: 'TOKEN_INVALID' });
    // While a client id that the store does not know is the operator's own affair.
    const own = await credentials.verify(forgeToken({ claims: { ...claims, clientId: 'own' }, key: SHARED }));
    assert.deepEqual([own.kind, own.credentialId], ['jwt', 'jwt:own']);
  });
});

const keyPublicPem = (key: KeyObject) => keyPublic(key).export({ type: 'spki', format: 'pem' }) as string;
const keyPublicDer = (key: KeyObject) => keyPublic(key).export({ type: 'spki', format: 'der' });
const keyPublic = (key: KeyObject): KeyObject => createPublicKey(key);
