import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import type { ErrorCode } from '../../src/base/errors.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { openDatabase } from '../../src/store/database.ts';
import { encodeFrame } from '../../src/wire/frame-writer.ts';
import { createFakeClock } from '../support/clock.ts';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { connectFake } from '../support/fake-agent.ts';
import { readToEnd } from '../support/read-to-end.ts';
import { forgeToken, openTestDatabase } from '../support/store.ts';

const OVERSIZED = Buffer.from([0, 1, 0, 0]);
const GARBAGE = Buffer.from([0, 0, 0, 3, 0xff, 0xff, 0xff]);
const details = { protocolVersion: '1.4.5' };

/** Says something on a connection of its own, and waits for the engine to end it. */
const say = async (t: TestContext, { port, ca }: TestEngine, bytes: Uint8Array) => {
  const connection = await connectFake({ port, ca });
  t.after(() => connection.kill());
  connection.sendRaw(bytes);
  await connection.ended;
  assert.deepEqual(connection.unread, []);
};

/** The refusal is one line with its code and an error id, and the engine goes on as if nothing had been. */
const assertOneRefusal = async (engine: TestEngine, code: ErrorCode) => {
  const reported = () => engine.log.lines.filter(({ fields }) => fields.errorId !== undefined);
  await eventually(() => reported().length > 0, `${code} is in the log`);
  const [line, ...more] = reported();
  assert.equal(line?.fields.code, code);
  assert.match(line?.fields.errorId ?? '', /^[0-9a-z]{8}$/);
  assert.deepEqual(more, []);
  const agent = await engine.connectAgent();
  await agent.openTunnel({});
  await agent.close();
  await eventually(() => {
    const { sessions, dials, tunnels } = engine.engine.counts();
    return sessions + dials + tunnels === 0;
  }, 'nothing is left of it');
};

describe('a first message that is none', () => {
  const BYTES: [string, Buffer, ErrorCode][] = [
    ['a frame over 65,535 bytes', OVERSIZED, 'FRAME_TOO_LARGE'],
    ['garbage in a frame', GARBAGE, 'FRAME_MALFORMED'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'), 'FRAME_TOO_LARGE'],
    ['a message of the wrong kind', encodeFrame({ kind: 'close-channel' }), 'FIRST_MESSAGE_UNEXPECTED'],
    [
      'an answer that only the engine gives',
      encodeFrame({ kind: 'dial-back-result' }),
      'FIRST_MESSAGE_UNEXPECTED',
    ],
  ].map(([what, bytes, code]) => [what as string, Buffer.from(bytes as Uint8Array), code as ErrorCode]);
  for (const [what, bytes, code] of BYTES)
    test(what, async (t) => {
      const engine = await startEngine(t);
      await say(t, engine, bytes);
      await assertOneRefusal(engine, code);
    });
});

describe('on a control channel', () => {
  const BYTES: [string, Buffer, ErrorCode][] = [
    ['a frame over 65,535 bytes', OVERSIZED, 'FRAME_TOO_LARGE'],
    ['garbage in a frame', GARBAGE, 'FRAME_MALFORMED'],
    ['a message of the engine', encodeFrame({ kind: 'channel-closed' }) as Buffer, 'MESSAGE_UNEXPECTED'],
    ['a second opening', encodeFrame({ kind: 'open-channel', details }) as Buffer, 'MESSAGE_UNEXPECTED'],
  ];
  for (const [what, bytes, code] of BYTES)
    test(`${what} ends the session, and its names are free`, async (t) => {
      const engine = await startEngine(t);
      const agent = await engine.connectAgent();
      await agent.openTunnel({ hostname: 'web' });
      agent.sendRaw(bytes);
      await agent.ended;
      await assertOneRefusal(engine, code);
      const other = await engine.connectAgent({ token: await engine.createToken('other') });
      await other.openTunnel({ hostname: 'web' });
    });
});

describe('a dial-back', () => {
  /** An agent that is asked for a stream, by a private dial that waits. */
  const startDial = async (t: TestContext) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    await agent.openTunnel({ name: 'echo', publish: false });
    const dialer = await connectFake({ port: engine.port, ca: engine.ca });
    t.after(() => dialer.kill());
    const token = await engine.createToken('dialer');
    dialer.send({
      kind: 'private-dial',
      details: { ...details, token },
      target: 'echo',
      zeroRtt: false,
      datagramChannel: false,
    });
    return { engine, agent, dialer, request: await agent.next('dial-request') };
  };

  const BAD_SECRETS = { 'a wrong secret': 'wrong', 'no secret': undefined, 'the token of a user': 'token' };
  for (const [what, secret] of Object.entries(BAD_SECRETS))
    test(`with ${what} is refused, and the right one still arrives`, async (t) => {
      const { engine, agent, dialer, request } = await startDial(t);
      const options = { zeroRtt: false, secret: secret === 'token' ? await engine.createToken('u') : secret };
      await assert.rejects(agent.answerDial(request, options), {
        code: 4000,
        message: /STREAM_SECRET_INVALID/,
      });
      const stream = await agent.answerDial(request, { zeroRtt: false });
      await dialer.next('private-dial-accepted');
      stream.destroy();
      dialer.kill();
      await eventually(() => engine.engine.counts().privateStreams === 0, 'the stream is gone');
      assert.equal(engine.log.withCode('STREAM_SECRET_INVALID').length, 1);
      assert.equal(engine.log.withCode('STREAM_UNKNOWN').length, 0);
    });

  test('that was used is refused the second time', async (t) => {
    const { engine, agent, dialer, request } = await startDial(t);
    const stream = await agent.answerDial(request);
    await dialer.next('private-dial-accepted');
    await assert.rejects(agent.answerDial(request, { zeroRtt: false }), {
      code: 4000,
      message: /STREAM_UNKNOWN/,
    });
    assert.ok(!stream.destroyed, 'the first stream runs on');
    assert.equal(engine.log.withCode('STREAM_UNKNOWN').length, 1);
    stream.destroy();
    dialer.kill();
  });

  test('for a stream that nobody asked for is refused', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const request = {
      kind: 'dial-request',
      tunnelId: 'tun_1',
      streamId: '0123456789abcdef01234567',
      secret: 's',
    } as const;
    await assert.rejects(agent.answerDial(request, { zeroRtt: false }), { code: 4000 });
    const silent = await agent.answerDial(request, { zeroRtt: true });
    assert.equal((await readToEnd(silent)).length, 0);
    silent.destroy();
    assert.equal(engine.log.withCode('STREAM_UNKNOWN').length, 2);
  });

  test('of another agent cannot refuse a stream that is not its own', async (t) => {
    const { engine, agent, dialer, request } = await startDial(t);
    const intruder = await engine.connectAgent();
    intruder.send({ kind: 'dial-result', streamId: request.streamId, error: { code: 6000, message: 'no' } });
    await intruder.openTunnel({});
    const stream = await agent.answerDial(request);
    await dialer.next('private-dial-accepted');
    stream.destroy();
    dialer.kill();
  });
});

describe('a token', () => {
  const JWT_SECRET = 'a-shared-secret-of-more-than-32-bytes';
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const settings = { auth: { jwt: { token_jwt_secret: JWT_SECRET } } };
  const jwt = (claims: object) => forgeToken({ claims, key: JWT_SECRET });

  /** A token that this engine issued an hour ago for half an hour. */
  const expiredToken = async ({ directory }: TestEngine) => {
    const database = openDatabase({ path: join(directory, 'engine.db'), mode: 'open' });
    const clock = createFakeClock(Date.now() - 3_600_000);
    const credentials = createCredentials({ database, clock, engineHost: 'localhost' });
    const expiresAt = clock.now() + 1_800_000;
    const { token } = await credentials.createToken({ name: 'old', permissions: null, expiresAt });
    database.close();
    return token;
  };
  const revokedToken = async (engine: TestEngine) => {
    const token = await engine.createToken('revoked');
    engine.revokeToken('revoked');
    return token;
  };
  const tokenOfAnotherEngine = async (_engine: TestEngine, t: TestContext) => {
    const needs = { database: openTestDatabase(t), clock: createFakeClock(), engineHost: 'localhost' };
    return (await createCredentials(needs).createToken({ name: 'foreign', permissions: null })).token;
  };

  const TOKENS: [string, ErrorCode, (engine: TestEngine, t: TestContext) => Promise<string> | string][] = [
    ['that has expired', 'TOKEN_EXPIRED', expiredToken],
    ['that was revoked', 'TOKEN_REVOKED', revokedToken],
    ['of another engine', 'TOKEN_INVALID', tokenOfAnotherEngine],
    ['that is none', 'TOKEN_INVALID', () => 'correct-horse'],
    ['that is missing', 'TOKEN_MISSING', () => ''],
    ['that is endless', 'TOKEN_INVALID', () => 'a'.repeat(8_193)],
    ['that somebody else signed', 'TOKEN_INVALID', () => forgeToken({ claims: {}, key: 'x'.repeat(32) })],
    [
      'that nobody signed',
      'TOKEN_INVALID',
      () => forgeToken({ claims: {}, header: { alg: 'none' }, digest: null }),
    ],
    ['over the shared secret that has expired', 'TOKEN_EXPIRED', () => jwt({ exp: nowSeconds - 61 })],
    [
      'with boundaries that are not enforced here',
      'BOUNDARIES_NOT_ENFORCED',
      () => jwt({ resources: { tunnels: { create: { name: 'shop' } } } }),
    ],
    ['without the permission', 'PERMISSION_MISSING', (engine) => engine.createToken('reader', [])],
  ];
  for (const [what, code, tokenFor] of TOKENS)
    test(`${what} is refused with 1000, and appears in no line`, async (t) => {
      const engine = await startEngine(t, { settings });
      const token = await tokenFor(engine, t);
      await assert.rejects(engine.connectAgent({ token }), { code: 1000, message: new RegExp(code) });
      await assertOneRefusal(engine, code);
      if (token !== '') assert.ok(!JSON.stringify(engine.log.lines).includes(token));
    });

  test('over the shared secret that is good is accepted', async (t) => {
    const engine = await startEngine(t, { settings });
    await engine.connectAgent({ token: jwt({ sub: 'ci', exp: nowSeconds + 600 }) });
  });
});

test('an agent that speaks TLS 1.2 gets the alert that says so', async (t) => {
  const engine = await startEngine(t);
  const socket = connect({
    host: '127.0.0.1',
    port: engine.port,
    ca: engine.ca,
    servername: 'localhost',
    ALPNProtocols: ['rstrm/1'],
    maxVersion: 'TLSv1.2',
  });
  const [error] = await once(socket, 'error');
  assert.match(error.code, /ALERT_PROTOCOL_VERSION/);
  await assertOneRefusal(engine, 'TLS_VERSION_UNSUPPORTED');
});
