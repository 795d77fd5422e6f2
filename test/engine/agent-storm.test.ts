import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';

const AGENT_COUNT = 200;
// A TLS handshake costs about a millisecond of engine and one of test; the rest is for a busy machine.
const STORM_MS_MAX = 20_000;

test('200 agents that are dropped at once are all back with their names, and nothing is left of before', async (t) => {
  const engine = await startEngine(t);
  const token = await engine.createToken('fleet');
  const connectFleet = () =>
    Promise.all(
      Array.from({ length: AGENT_COUNT }, async (_, number) => {
        const agent = await engine.connectAgent({ token });
        await agent.openTunnel({ hostname: `agent-${number}`, name: `agent-${number}` });
        return agent;
      }),
    );
  const whole = { sessions: AGENT_COUNT, tunnels: AGENT_COUNT, connections: AGENT_COUNT };
  const counted = () => {
    const { sessions, tunnels, connections } = engine.engine.counts();
    return { sessions, tunnels, connections };
  };

  const fleet = await connectFleet();
  assert.deepEqual(counted(), whole);
  const { timers } = engine.engine.counts();

  const startedMs = performance.now();
  for (const agent of fleet) agent.kill();
  // Without a pause: the new connections arrive while the engine still learns of the end of the old ones.
  await connectFleet();
  await eventually(() => engine.engine.counts().connections === AGENT_COUNT, 'the old connections are gone');
  assert.ok(performance.now() - startedMs < STORM_MS_MAX);

  assert.deepEqual(counted(), whole);
  assert.equal(engine.engine.counts().timers, timers, 'a fleet costs the same timers as before');
  assert.deepEqual(
    engine.log.lines.filter(({ level }) => level === 'error'),
    [],
  );
});
