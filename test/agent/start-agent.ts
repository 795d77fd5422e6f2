/** An agent under test: its events as a mailbox, a clock moved by hand, and the assertion that it leaves nothing behind. */
import { strict as assert } from 'node:assert';
import type { TestContext } from 'node:test';
import { type AgentEvent, type AgentTunnel, createAgent } from '../../src/agent/agent.ts';
import type { EngineTarget } from '../../src/agent/connection.ts';
import { createLogger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { createFakeClock } from '../support/clock.ts';
import { createMailbox } from './mailbox.ts';

type EventOf<Kind extends AgentEvent['kind']> = Extract<AgentEvent, { kind: Kind }>;

export const startAgent = (t: TestContext, engine: EngineTarget, tunnels: AgentTunnel[]) => {
  const clock = createFakeClock();
  const events = createMailbox<AgentEvent>();
  const agent = createAgent(
    { clock, log: createLogger('silent'), onEvent: events.put },
    { engine, token: new Secret('the-token'), tunnels, version: '1.2.3' },
  );
  const over = agent.run();
  // Tests that expect a refusal look at `over` themselves.
  over.catch(() => {});
  const event = async <Kind extends AgentEvent['kind']>(kind: Kind) =>
    (await events.take((event) => event.kind === kind, `event ${kind}`)) as EventOf<Kind>;
  t.after(async () => {
    const stopped = agent.stop();
    // An engine that does not answer the goodbye is not waited for longer than that.
    clock.advance(5_000);
    await stopped;
    assert.equal(clock.pendingCount, 0, 'timers are left');
  });
  return {
    clock,
    over,
    event,
    stop: agent.stop,
    /** Waits for the loss of the engine and lets the pause before the next attempt pass. */
    async skipPause() {
      const offline = await event('offline');
      clock.advance(offline.retryMs);
      return offline.error;
    },
  };
};
