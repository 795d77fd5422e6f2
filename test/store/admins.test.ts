/** Who logs in to the admin page, how, and what ends it. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { TOTP } from 'otpauth';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { type AdminEvent, createAdmins } from '../../src/store/admins.ts';
import { createFakeClock } from '../support/clock.ts';
import { openTestDatabase } from '../support/store.ts';

const CHEAP = { memoryCost: 1_024, timeCost: 2, parallelism: 1 };
const PASSWORD = new Secret('correct horse battery');
const OTHER = new Secret('another horse battery');
const HOME = { address: '192.0.2.1', agent: 'a browser' };
const STRANGER = { address: '198.51.100.7', agent: 'a guesser' };

const setUp = (t: TestContext) => {
  const database = openTestDatabase(t);
  const clock = createFakeClock();
  const events: AdminEvent[] = [];
  const admins = createAdmins({ database, clock, cost: CHEAP, onEvent: (event) => events.push(event) });
  return { database, clock, events, admins };
};

const setUpOwner = async (t: TestContext) => {
  const world = setUp(t);
  const { link } = world.admins.create({ name: 'owner', role: 'admin' });
  const first = await world.admins.redeemLink({ link, password: PASSWORD }, HOME);
  const login = (password = PASSWORD, origin = HOME, code?: string) =>
    world.admins.login({ name: 'owner', password, code }, origin);
  return { ...world, first, login, id: first.admin.id };
};

describe('a one-time link', () => {
  test('sets a password and logs in, once', async (t) => {
    const { admins, events } = setUp(t);
    const { link } = admins.create({ name: 'owner', role: 'admin' });
    await assert.rejects(admins.login({ name: 'owner', password: PASSWORD }, HOME), {
      code: 'LOGIN_INVALID',
    });
    const { cookie } = await admins.redeemLink({ link, password: PASSWORD }, HOME);
    assert.equal(admins.resolve(cookie.reveal(), true).admin.name, 'owner');
    await assert.rejects(admins.redeemLink({ link, password: OTHER }, HOME), { code: 'LOGIN_LINK_INVALID' });
    await admins.login({ name: 'Owner', password: PASSWORD }, HOME);
    assert.deepEqual(
      events.map(({ action, result }) => `${action} ${result}`),
      [
        'admin.create ok',
        'session.login LOGIN_INVALID',
        'session.link ok',
        'session.link LOGIN_LINK_INVALID',
        'session.login ok',
      ],
    );
    assert.equal(events.at(-1)?.actor, 'admin:owner');
  });

  test('is void after fifteen minutes, and when there is another', async (t) => {
    const { admins, clock } = setUp(t);
    const { link } = admins.create({ name: 'owner', role: 'admin' });
    const { link: second } = admins.link('owner');
    await assert.rejects(admins.redeemLink({ link, password: PASSWORD }, HOME), {
      code: 'LOGIN_LINK_INVALID',
    });
    clock.advance(LIMITS.adminLinkMs);
    await assert.rejects(admins.redeemLink({ link: second, password: PASSWORD }, HOME), {
      code: 'LOGIN_LINK_INVALID',
    });
  });

  test('survives a password that will not do', async (t) => {
    const { admins } = setUp(t);
    const { link } = admins.create({ name: 'owner', role: 'admin' });
    await assert.rejects(admins.redeemLink({ link, password: new Secret('short') }, HOME), {
      code: 'ADMIN_INVALID',
    });
    await admins.redeemLink({ link, password: PASSWORD }, HOME);
  });

  test('ends the sessions there were', async (t) => {
    const { admins, first } = await setUpOwner(t);
    await admins.redeemLink({ link: admins.link('owner').link, password: OTHER }, HOME);
    assert.throws(() => admins.resolve(first.cookie.reveal(), true), { code: 'SESSION_ENDED' });
  });
});

describe('a session', () => {
  test('ends when nobody uses it; a page that refreshes itself does not', async (t) => {
    const { admins, first, clock } = await setUpOwner(t);
    const cookie = first.cookie.reveal();
    clock.advance(LIMITS.adminSessionIdleMs - 1);
    admins.resolve(cookie, true);
    clock.advance(LIMITS.adminSessionIdleMs - 1);
    admins.resolve(cookie, false);
    clock.advance(1);
    assert.throws(() => admins.resolve(cookie, false), { code: 'SESSION_ENDED' });
    assert.deepEqual(admins.sessions(), []);
  });

  test('ends after its whole life, used or not', async (t) => {
    const { admins, first, clock } = await setUpOwner(t);
    const stepMs = LIMITS.adminSessionIdleMs / 2;
    for (let ms = stepMs; ms < LIMITS.adminSessionMs; ms += stepMs) {
      clock.advance(stepMs);
      admins.resolve(first.cookie.reveal(), true);
    }
    clock.advance(stepMs);
    assert.throws(() => admins.resolve(first.cookie.reveal(), true), { code: 'SESSION_ENDED' });
  });

  test('is listed and revocable, and goes with its admin', async (t) => {
    const { admins, first, login } = await setUpOwner(t);
    const second = await login();
    assert.deepEqual(
      admins
        .sessions()
        .map(({ id }) => id)
        .sort(),
      [first.session.id, second.session.id].sort(),
    );
    admins.endSession(second.session.id);
    assert.throws(() => admins.resolve(second.cookie.reveal(), true), { code: 'SESSION_ENDED' });
    assert.throws(() => admins.endSession(second.session.id), { code: 'SESSION_UNKNOWN' });
    admins.create({ name: 'second', role: 'admin' });
    admins.remove('owner');
    assert.throws(() => admins.resolve(first.cookie.reveal(), true), { code: 'SESSION_ENDED' });
  });
});

describe('guessing passwords', () => {
  test('gets slower, and does not keep the owner out', async (t) => {
    const { admins, clock, login } = await setUpOwner(t);
    const guess = (origin = STRANGER) => login(OTHER, origin);
    for (let count = 0; count < LIMITS.loginFailuresFree; count += 1)
      await assert.rejects(guess(), { code: 'LOGIN_INVALID' });
    await assert.rejects(guess(), { code: 'LOGIN_THROTTLED', details: { retrySeconds: 1 } });
    await login();
    clock.advance(1_000);
    await assert.rejects(guess(), { code: 'LOGIN_INVALID' });
    await assert.rejects(guess(), { details: { retrySeconds: 2 } });
    // From ever new addresses it is the account that waits, for seconds.
    let refused: { details?: { retrySeconds: number } } = {};
    for (let host = 1; host <= 40; host += 1) {
      const origin = { address: `203.0.113.${host}`, agent: '' };
      await guess(origin).catch((error) => {
        refused = error;
      });
      clock.advance(host < 20 ? LIMITS.loginAccountWaitMsMax : 0);
    }
    assert.ok((refused.details?.retrySeconds ?? 0) <= LIMITS.loginAccountWaitMsMax / 1_000);
    await login();
    await admins.redeemLink(
      { link: admins.link('owner').link, password: OTHER },
      { ...HOME, address: '192.0.2.99' },
    );
  });

  test('gains nothing by many at once', async (t) => {
    const { login } = await setUpOwner(t);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => login(OTHER, STRANGER)));
    const codes = results.map((result) => (result as PromiseRejectedResult).reason.code);
    assert.ok(codes.filter((code) => code === 'LOGIN_INVALID').length <= LIMITS.loginFailuresFree);
  });

  test('tells no name that does not exist: it may be a password', async (t) => {
    const { admins, events } = setUp(t);
    await assert.rejects(admins.login({ name: 'my secret', password: PASSWORD }, HOME), {
      code: 'LOGIN_INVALID',
    });
    assert.deepEqual(events, [{ action: 'session.login', object: 'unknown', result: 'LOGIN_INVALID' }]);
  });
});

describe('a second factor', () => {
  const codeOf = (secret: Secret, nowMs: number) =>
    new TOTP({ secret: secret.reveal() }).generate({ timestamp: nowMs });

  test('is asked for, counts once, and is sealed with the password', async (t) => {
    const { admins, database, clock, login, id, first } = await setUpOwner(t);
    const { secret, address } = admins.newTotp(id, 'engine');
    assert.match(address.reveal(), /^otpauth:\/\/totp\/engine:owner\?/);
    const proof = { password: PASSWORD, secret };
    await assert.rejects(admins.enableTotp(id, { ...proof, code: '000000' }, HOME.address), {
      code: 'ADMIN_INVALID',
    });
    await admins.enableTotp(id, { ...proof, code: codeOf(secret, clock.now()) }, HOME.address);
    const stored = database.use((connection) =>
      connection.prepare<[], string>('SELECT totp FROM admins').pluck().get(),
    );
    assert.ok(!stored!.includes(secret.reveal()));

    await assert.rejects(login(), { code: 'LOGIN_CODE_MISSING' });
    clock.advance(30_000);
    const code = codeOf(secret, clock.now());
    await login(PASSWORD, HOME, code);
    await assert.rejects(login(PASSWORD, HOME, code), { code: 'LOGIN_INVALID' });

    await admins.changePassword(
      id,
      { password: PASSWORD, next: OTHER },
      { id: first.session.id, address: HOME.address },
    );
    clock.advance(30_000);
    await login(OTHER, HOME, codeOf(secret, clock.now()));
    await admins.disableTotp(id, OTHER, HOME.address);
    await login(OTHER);
  });

  test('goes with a password that was set without the old one', async (t) => {
    const { admins, clock, login, id } = await setUpOwner(t);
    const { secret } = admins.newTotp(id, 'engine');
    await admins.enableTotp(
      id,
      { password: PASSWORD, secret, code: codeOf(secret, clock.now()) },
      HOME.address,
    );
    assert.equal((await admins.setPassword('owner', OTHER)).hasTotp, false);
    await login(OTHER);
  });
});

describe('admins', () => {
  test('have plain names, each once', (t) => {
    const { admins } = setUp(t);
    for (const name of ['', 'Owner', 'ow ner', 'оwner', '-a', 'a'.repeat(65)])
      assert.throws(() => admins.create({ name, role: 'admin' }), { code: 'ADMIN_INVALID' });
    admins.create({ name: 'owner', role: 'admin' });
    assert.throws(() => admins.create({ name: 'owner', role: 'viewer' }), { code: 'ADMIN_INVALID' });
  });

  test('always have one among them with the role admin', (t) => {
    const { admins } = setUp(t);
    const { record } = admins.create({ name: 'owner', role: 'admin' });
    admins.create({ name: 'guest', role: 'viewer' });
    assert.throws(() => admins.remove('owner'), { code: 'ADMIN_INVALID' });
    assert.throws(() => admins.setRole('owner', 'viewer', record.version), { code: 'ADMIN_INVALID' });
    admins.setRole('guest', 'admin', 1);
    assert.throws(() => admins.setRole('owner', 'viewer', 7), { code: 'VERSION_OUTDATED' });
    assert.equal(admins.setRole('owner', 'viewer', record.version).role, 'viewer');
    assert.throws(() => admins.remove('nobody'), { code: 'ADMIN_NOT_FOUND' });
  });

  test('get a dearer hash with their next login when the cost has risen', async (t) => {
    const { database, clock, login } = await setUpOwner(t);
    const dearer = { ...CHEAP, timeCost: 3 };
    const hash = () =>
      database.use((connection) =>
        connection.prepare<[], string>('SELECT password_hash FROM admins').pluck().get(),
      );
    await login();
    assert.match(hash()!, /^\$argon2id\$v=19\$m=1024,t=2,p=1\$/);
    const { cookie } = await createAdmins({ database, clock, cost: dearer }).login(
      { name: 'owner', password: PASSWORD },
      HOME,
    );
    assert.match(hash()!, /t=3/);
    assert.ok(cookie);
    await login();
  });
});
