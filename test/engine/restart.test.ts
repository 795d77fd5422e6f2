import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';

/** Waits until the built-in agent has found the engine. */
const comesBack = (engine: TestEngine) =>
  eventually(() => engine.engine.counts().tunnels === 1, 'the agent is back');

for (const [asked, properties] of [
  ['it asked for', { hostname: 'web' }],
  ['the engine chose', { name: 'web' }],
] as const)
  test(`the built-in agent comes back to a restarted engine with the hostname that ${asked}`, async (t) => {
    const engine = await startEngine(t);
    const upstream = await startHttpUpstream(t, (_, response) => response.end('still here'));
    const { reply } = await engine.publish(upstream, properties);
    const { hostname = '' } = reply;
    await engine.engine.stop();
    const successor = await startEngine(t, { successorOf: engine });
    assert.equal(successor.port, engine.port);
    await comesBack(successor);
    assert.equal((await fetchThrough(successor, hostname, '/')).body, 'still here');
  });

test('tokens and their revocations survive a restart', async (t) => {
  const engine = await startEngine(t);
  const [good, bad] = [await engine.createToken('good'), await engine.createToken('bad')];
  engine.revokeToken('bad');
  await engine.stop();
  const successor = await startEngine(t, { successorOf: engine });
  await successor.connectAgent({ token: good });
  await assert.rejects(successor.connectAgent({ token: bad }), { code: 1000, message: /TOKEN_REVOKED/ });
});

test('a second engine on the same address says so, and leaves nothing of itself behind', async (t) => {
  const engine = await startEngine(t);
  await assert.rejects(startEngine(t, { successorOf: engine }), {
    code: 'ADDRESS_IN_USE',
    message: `The address 127.0.0.1:${engine.port} of tls.listen_addr is in use by another program.`,
  });
  await engine.connectAgent();
});
