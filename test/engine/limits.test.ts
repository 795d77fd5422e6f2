import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { startEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';

test('limits.connections: what comes beyond it is dropped, and there is room again when somebody leaves', async (t) => {
  const engine = await startEngine(t, { settings: { limits: { connections: 3 } } });
  const agents = [await engine.connectAgent(), await engine.connectAgent(), await engine.connectAgent()];
  for (let attempt = 0; attempt < 3; attempt++) {
    const socket = connect(engine.port, '127.0.0.1').on('error', () => {});
    await once(socket, 'close');
  }
  assert.equal(engine.engine.counts().connections, 3);
  assert.equal(engine.log.withCode('CONNECTION_LIMIT').length, 1, 'one line a second, not one a connection');
  agents[0]?.kill();
  await eventually(() => engine.engine.counts().connections === 2, 'one has left');
  await engine.connectAgent();
});

test('tunnelsPerSessionMax: the next tunnel is refused with 7000, and the session goes on', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  const opening = Array.from({ length: LIMITS.tunnelsPerSessionMax }, () =>
    agent.openTunnel({ publish: false }),
  );
  const [first] = await Promise.all(opening);
  await assert.rejects(agent.openTunnel({}), { code: 7000, message: /TUNNEL_LIMIT/ });
  assert.equal(engine.engine.counts().tunnels, LIMITS.tunnelsPerSessionMax);
  agent.send({ kind: 'close-tunnel', tunnelId: first?.id ?? '' });
  await agent.next('tunnel-closed');
  await agent.openTunnel({});
});

test('dialRequestsInFlightMax: an agent is asked for so many streams at once, and for the next when it has answered', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  await agent.openTunnel({ name: 'echo', publish: false });
  const { port, ca } = engine;
  const token = await engine.createToken('dialer');
  const extraCount = 5;
  const dialCount = LIMITS.dialRequestsInFlightMax + extraCount;
  for (let dialed = 0; dialed < dialCount; dialed++) {
    const stream = await privateDial({ port, ca, token, target: 'echo', zeroRtt: true });
    t.after(() => stream.destroy());
  }
  await eventually(() => engine.engine.counts().dials === dialCount, 'all dials wait');
  // The reply comes behind all requests that were sent.
  await agent.openTunnel({});
  assert.equal(agent.unread.length, LIMITS.dialRequestsInFlightMax);
  const { streamId } = await agent.next('dial-request');
  agent.send({ kind: 'dial-result', streamId, error: { code: 6000 } });
  await agent.openTunnel({});
  assert.equal(agent.unread.length, LIMITS.dialRequestsInFlightMax);
  assert.equal(engine.engine.counts().dials, dialCount - 1);
});

test('channelQueuedBytesMax: an agent that does not read is dropped, and its names are free', async (t) => {
  const engine = await startEngine(t);
  const deaf = await engine.connectAgent();
  await deaf.openTunnel({ hostname: 'web' });
  deaf.socket.pause();
  // Each reply echoes 30 KiB. The system's own buffers take some megabytes, and then the engine has had enough.
  const labels = Object.fromEntries(Array.from({ length: 30 }, (_, key) => [`${key}`, 'x'.repeat(1_000)]));
  for (let count = 0; count < LIMITS.tunnelsPerSessionMax; count++)
    deaf.send({ kind: 'open-tunnel', requestId: `${count}`, properties: { publish: false, labels } });
  await eventually(() => engine.engine.counts().sessions === 0, 'the engine has had enough');
  assert.equal(engine.log.withCode('CHANNEL_OVERFLOW').length, 1);
  const other = await engine.connectAgent({ token: await engine.createToken('other') });
  await other.openTunnel({ hostname: 'web' });
});

test('tokenCharsMax and hostnameCharsMax: what is too long is refused in a sentence', async (t) => {
  const engine = await startEngine(t);
  await assert.rejects(engine.connectAgent({ token: 'a'.repeat(LIMITS.tokenCharsMax + 1) }), { code: 1000 });
  const agent = await engine.connectAgent();
  const hostname = 'a'.repeat(LIMITS.hostnameCharsMax + 1);
  await assert.rejects(agent.openTunnel({ hostname }), { code: 2000, message: /longer than 253/ });
});
