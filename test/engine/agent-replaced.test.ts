import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { startHalfOpenRelay } from '../support/half-open-relay.ts';

const WEB = { hostname: 'web', name: 'web' };
const HOSTNAME = 'web.t.localhost';
const CONFLICT = { code: 8000, message: /^(?:Hostname|Tunnel name) is already in use\.$/ };

test('the names of an agent that was killed are free at once, for anybody', async (t) => {
  const engine = await startEngine(t);
  const old = await engine.connectAgent();
  await old.openTunnel(WEB);
  const rival = await engine.connectAgent({ token: await engine.createToken('rival') });
  await assert.rejects(rival.openTunnel(WEB), CONFLICT);
  old.kill();
  await eventually(() => engine.engine.counts().sessions === 1, 'the engine has noticed');
  assert.equal((await rival.openTunnel(WEB)).hostname, HOSTNAME);
});

test('an agent that lives keeps its names, also from its own credential', async (t) => {
  const engine = await startEngine(t);
  const upstream = await startHttpUpstream(t, (_, response) => response.end('first'));
  await engine.publish(upstream, WEB);
  const second = await engine.connectAgent();
  await assert.rejects(second.openTunnel(WEB), CONFLICT);
  const { body } = await fetchThrough(engine, HOSTNAME, '/');
  assert.equal(body, 'first');
});

describe('an agent behind a network that vanished', () => {
  test('is replaced by its own credential only, and its late end takes nothing away', async (t) => {
    const engine = await startEngine(t);
    const network = await startHalfOpenRelay(t, engine);
    const old = await engine.connectAgent({ port: network.port, liveness: 1_000 });
    await old.openTunnel(WEB);
    network.swallow();

    const rival = await engine.connectAgent({ token: await engine.createToken('rival') });
    await assert.rejects(rival.openTunnel(WEB), CONFLICT);

    const upstream = await startHttpUpstream(t, (_, response) => response.end('second'));
    const { reply } = await engine.publish(upstream, WEB);
    assert.equal(reply.hostname, HOSTNAME);
    const answer = () => fetchThrough(engine, HOSTNAME, '/');
    assert.equal((await answer()).body, 'second');

    network.reset();
    await old.ended;
    await eventually(() => engine.engine.counts().sessions === 2, 'the rival and the second are left');
    assert.equal((await answer()).body, 'second');
    await assert.rejects(rival.openTunnel(WEB), CONFLICT);
  });

  test('comes back by itself with its hostname when the network does', async (t) => {
    const engine = await startEngine(t);
    const network = await startHalfOpenRelay(t, engine);
    const old = await engine.connectAgent({ port: network.port });
    await old.openTunnel(WEB);
    network.reset();
    await old.ended;
    const again = await engine.connectAgent({ port: network.port });
    assert.equal((await again.openTunnel(WEB)).hostname, HOSTNAME);
  });
});

test('a stream that runs survives the loss of its control channel', async (t) => {
  const engine = await startEngine(t);
  const agent = await engine.connectAgent();
  await agent.openTunnel(WEB);
  const answer = fetchThrough(engine, HOSTNAME, '/');
  const stream = await agent.answerDial(await agent.next('dial-request'));
  t.after(() => stream.destroy());
  await eventually(() => stream.readableLength > 0, 'the request has arrived');
  agent.kill();
  await eventually(() => engine.engine.counts().tunnels === 0, 'the tunnel is gone');
  stream.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole');
  assert.equal((await answer).body, 'whole');
  assert.equal((await fetchThrough(engine, HOSTNAME, '/')).status, 503);
});
