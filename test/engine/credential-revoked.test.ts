import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { startEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { type FakeAgent, privateDial } from '../support/fake-agent.ts';
import { forgeToken } from '../support/store.ts';
import { askApi } from './ask-api.ts';

const SECOND_MS = 1_000;

/** The engine's end of a socket; this side closes then, as half-open it would stay. */
const closed = (socket: Duplex) =>
  new Promise<void>((resolve) => {
    socket.once('end', () => socket.destroy()).once('close', () => resolve());
  });

/** A private stream between a dialer and an agent that has the tunnel `echo`. */
const openStream = async (engine: TestEngine, agent: FakeAgent, token: string) => {
  const [dialer, pipe] = await Promise.all([
    privateDial({ port: engine.port, target: 'echo', token }),
    agent.next('dial-request').then((request) => agent.answerDial(request)),
  ]);
  dialer.on('error', () => {}).resume();
  pipe.on('error', () => {}).resume();
  return { dialer, pipe, over: Promise.all([closed(dialer), closed(pipe)]) };
};

const startWithEcho = async (t: TestContext) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent({ token: await engine.createToken('agent') });
  await agent.openTunnel({ name: 'echo', publish: false });
  const token = await engine.createToken('dialer');
  return { engine, agent, stream: await openStream(engine, agent, token) };
};

/** What it resolves to is worth less than when. */
const within = async (what: string, msMax: number, event: Promise<unknown>) => {
  const startMs = performance.now();
  await event;
  const ms = performance.now() - startMs;
  assert.ok(ms < msMax, `${what} took ${Math.round(ms)} ms`);
};

describe('a credential that another process revokes', { concurrency: true }, () => {
  test('is refused by the next connection, on the wire and over HTTP', async (t) => {
    const engine = await startEngine(t);
    const token = await engine.createToken('ci');
    await engine.connectAgent({ token });
    assert.equal((await askApi(engine, '/api/auth', token)).status, 204);
    engine.revokeToken('ci');
    await assert.rejects(engine.connectAgent({ token }), { code: 1000, message: /TOKEN_REVOKED/ });
    const { status, body } = await askApi(engine, '/api/auth', token);
    assert.deepEqual([status, body.code], [401, 'TOKEN_REVOKED']);
  });

  test('ends the sessions that live by it within a second, and no others', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent({ token: await engine.createToken('ci') });
    await agent.openTunnel({ hostname: 'web' });
    const other = await engine.connectAgent();
    await other.openTunnel({ hostname: 'other' });
    engine.revokeToken('ci');
    await within('the goodbye', SECOND_MS, agent.next('channel-closed'));
    await agent.ended;
    assert.equal(engine.engine.counts().tunnels, 1);
    agent.kill();
    await eventually(() => engine.engine.counts().sessions === 1, 'its session is over');
    const [line, ...more] = engine.log.withCode('TOKEN_REVOKED');
    assert.equal(line?.fields.agentId, agent.agentId);
    assert.deepEqual(more, []);
    assert.equal((await other.openTunnel({ hostname: 'web' })).hostname, 'web.t.localhost');
  });

  test('ends the private streams that its dialer opened, and not the agent that served them', async (t) => {
    const { engine, agent, stream } = await startWithEcho(t);
    const staying = await openStream(engine, agent, await engine.createToken('another dialer'));
    engine.revokeToken('dialer');
    await within('the end of the stream', SECOND_MS, stream.over);
    await eventually(() => engine.engine.counts().privateStreams === 1, 'the other stream is left');
    assert.equal(engine.engine.counts().sessions, 1);
    staying.dialer.destroy();
    await staying.over;
  });

  test('ends the streams through the tunnels that it opened', async (t) => {
    const { engine, stream } = await startWithEcho(t);
    engine.revokeToken('agent');
    await within('the end of the stream', SECOND_MS, stream.over);
  });

  test('ends streams also when the channel that announced them was closed long before', async (t) => {
    const { engine, agent, stream } = await startWithEcho(t);
    await agent.close();
    await eventually(() => engine.engine.counts().sessions === 0, 'the session is over');
    assert.equal(engine.engine.counts().privateStreams, 1, 'a closed channel cuts no stream');
    engine.revokeToken('agent');
    await within('the end of the stream', SECOND_MS, stream.over);
  });

  test('has a like in a client certificate', async (t) => {
    const engine = await startEngine(t);
    const clientCertificate = await engine.createClientCertificate('laptop');
    const agent = await engine.connectAgent({ clientCertificate });
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    await within('the goodbye', SECOND_MS, agent.next('channel-closed'));
    agent.kill();
    await eventually(() => engine.engine.counts().sessions === 0, 'its session is over');
    assert.equal(engine.log.withCode('CLIENT_CERTIFICATE_REVOKED')[0]?.fields.agentId, agent.agentId);
    await assert.rejects(engine.connectAgent({ clientCertificate }), {
      message: /CLIENT_CERTIFICATE_REVOKED/,
    });
  });

  test('has a like in what was minted from it', async (t) => {
    const engine = await startEngine(t);
    await engine.createToken('source');
    const { token } = await engine.withCredentials((credentials) =>
      credentials.mintAuthToken({
        source: credentials.principalOf('source'),
        permissions: null,
        expiresInSeconds: 600,
      }),
    );
    const agent = await engine.connectAgent({ token });
    engine.revokeToken('source');
    await within('the goodbye', SECOND_MS, agent.next('channel-closed'));
  });

  test('has a like in a token that is rotated, once its grace is over', async (t) => {
    const engine = await startEngine(t);
    const old = await engine.connectAgent({ token: await engine.createToken('ci') });
    const { token } = await engine.withCredentials((credentials) =>
      credentials.rotateToken('ci', { graceMs: 1_500 }),
    );
    const young = await engine.connectAgent({ token });
    await within('the end of the grace', 1_500 + SECOND_MS, old.next('channel-closed'));
    await young.openTunnel({ publish: false });
  });

  test('has a like in a token that expires while its session lives', async (t) => {
    const secret = 'a-shared-secret-of-more-than-32-bytes';
    const engine = await startEngine(t, { settings: { auth: { jwt: { token_jwt_secret: secret } } } });
    // A minute of difference between clocks is forgiven: a second or two of it are left.
    const exp = Math.ceil(Date.now() / 1_000) - 58;
    const agent = await engine.connectAgent({ token: forgeToken({ claims: { exp }, key: secret }) });
    await agent.openTunnel({ hostname: 'web' });
    await agent.next('channel-closed');
    assert.equal(engine.engine.counts().tunnels, 0);
  });
});
