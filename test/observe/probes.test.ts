import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { type AgentId, newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createProbes, type ProbeOutcome } from '../../src/observe/probes.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import type { Tunnel } from '../../src/tunnel/tunnel.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';

const INTERVAL_MS = 60_000;

interface Asked {
  readonly tunnel: Tunnel;
  readonly atMs: number;
  readonly signal: AbortSignal;
  prove(): void;
  fail(error: EngineError): void;
}

/** Lets every promise that is settled be heard. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const setUp = (t: TestContext, random?: () => number) => {
  const clock = createFakeClock();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const asked: Asked[] = [];
  const turns: string[] = [];
  const outcomes: ProbeOutcome[] = [];
  let answer: ((probe: Asked) => void) | undefined;
  const probes = createProbes(
    {
      clock,
      log: createLogRecorder(),
      registry,
      probe: (tunnel, signal) =>
        new Promise<void>((resolve, reject) => {
          const probe = { tunnel, signal, atMs: clock.elapsed(), prove: resolve, fail: reject };
          signal.addEventListener('abort', () => reject(fail('REQUEST_ABORTED')));
          asked.push(probe);
          answer?.(probe);
        }),
      onTurn: ({ id }, isDown, cause) => turns.push(`${id} ${isDown ? `down ${cause?.code}` : 'back'}`),
      count: (outcome) => outcomes.push(outcome),
      ...(random && { random }),
    },
    { intervalMs: INTERVAL_MS },
  );
  t.after(async () => {
    probes.stop();
    await settled();
    assert.deepEqual([probes.runningCount, clock.pendingCount], [0, 0]);
  });
  const openWith = (properties: Parameters<typeof registry.open>[1], agentId: AgentId = newAgentId()) =>
    registry.open({ agentId, credentialId: 'crd_1' }, properties);
  const open = (agentId?: AgentId, labels: Record<string, string> = {}) =>
    openWith({ publish: true, protocol: 'http', labels }, agentId);
  /** In steps, so that answers are heard at their time. */
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += LIMITS.probeLookMs) {
      clock.advance(LIMITS.probeLookMs);
      await settled();
    }
  };
  return {
    clock,
    registry,
    probes,
    asked,
    turns,
    outcomes,
    open,
    openWith,
    pass,
    /** What becomes of every probe from now on. */
    answerWith: (next: (probe: Asked) => void) => {
      answer = next;
    },
    stateOf: ({ id }: Tunnel) => probes.truthOf(id)?.state,
  };
};

const prove = (probe: Asked) => probe.prove();
const refuse = (probe: Asked) => probe.fail(fail('DIAL_BACK_REFUSED'));

describe('a tunnel without traffic', () => {
  test('is asked soon after it opened, and then once an interval', async (t) => {
    const { asked, open, pass, answerWith, stateOf, probes } = setUp(t, () => 1);
    answerWith(prove);
    const tunnel = open();
    assert.equal(stateOf(tunnel), 'suspect');
    await pass(LIMITS.firstProbeMsMax);
    assert.deepEqual([asked.length, stateOf(tunnel)], [1, 'online']);
    await pass(INTERVAL_MS - LIMITS.probeLookMs);
    assert.equal(asked.length, 1);
    await pass(LIMITS.probeLookMs);
    assert.equal(asked.length, 2);
    assert.equal(probes.truthOf(tunnel.id)?.lastProof?.how, 'probe');
  });

  for (const [kind, properties] of Object.entries({
    private: { name: 'one', publish: false },
    'private HTTP': { name: 'one', publish: false, protocol: 'http' },
    TLS: { publish: true, protocol: 'tls' },
  } as const))
    test(`and that is not published HTTP (${kind}) is first left a whole interval for its first stream`, async (t) => {
      // The shortest wait that may be drawn.
      const { asked, openWith, pass, answerWith, stateOf } = setUp(t, () => 0);
      answerWith(prove);
      const tunnel = openWith(properties);
      await pass(INTERVAL_MS - LIMITS.probeLookMs);
      assert.equal(asked.length, 0);
      await pass(LIMITS.probeLookMs);
      assert.deepEqual([asked.length, stateOf(tunnel)], [1, 'online']);
      await pass(INTERVAL_MS / 2);
      assert.equal(asked.length, 2);
    });

  test('is asked again within a quarter of the interval after a failure, until it is known to be down', async (t) => {
    const { asked, turns, outcomes, open, pass, answerWith, stateOf, probes } = setUp(t, () => 1);
    answerWith(refuse);
    const tunnel = open();
    const states = [];
    await pass(LIMITS.firstProbeMsMax);
    states.push(stateOf(tunnel));
    for (let turn = 0; turn < 2; turn += 1) {
      await pass(INTERVAL_MS / 4);
      states.push(stateOf(tunnel));
    }
    assert.deepEqual([asked.length, ...states], [3, 'suspect', 'suspect', 'down']);
    assert.deepEqual(probes.counts(), { online: 0, suspect: 0, down: 1 });
    const { code, sentence } = probes.truthOf(tunnel.id)?.lastFailure ?? {};
    assert.deepEqual([code, sentence], ['DIAL_BACK_REFUSED', fail('DIAL_BACK_REFUSED').message]);
    await pass(INTERVAL_MS - LIMITS.probeLookMs);
    assert.equal(asked.length, 3);
    answerWith(prove);
    await pass(LIMITS.probeLookMs);
    assert.equal(stateOf(tunnel), 'online');
    assert.deepEqual(turns, [`${tunnel.id} down DIAL_BACK_REFUSED`, `${tunnel.id} back`]);
    assert.deepEqual(outcomes, ['failed', 'failed', 'failed', 'proved']);
  });

  test('is suspect when its proof is older than two intervals and the answer is still awaited', async (t) => {
    const { clock, open, pass, answerWith, stateOf } = setUp(t, () => 1);
    answerWith(prove);
    const tunnel = open();
    await pass(LIMITS.firstProbeMsMax);
    answerWith(() => {});
    clock.advance(2 * INTERVAL_MS);
    assert.equal(stateOf(tunnel), 'online');
    clock.advance(LIMITS.probeLookMs);
    assert.equal(stateOf(tunnel), 'suspect');
  });

  test('is not blamed for what the engine could not ask', async (t) => {
    const { outcomes, open, pass, answerWith, probes } = setUp(t, () => 1);
    answerWith((probe) => probe.fail(fail('ENGINE_DRAINING')));
    const tunnel = open();
    await pass(LIMITS.firstProbeMsMax);
    assert.deepEqual(outcomes, ['inconclusive']);
    assert.deepEqual(probes.truthOf(tunnel.id), { state: 'suspect' });
  });
});

describe('a tunnel with traffic', () => {
  test('is online by it, and not asked', async (t) => {
    const { clock, asked, open, pass, stateOf, probes } = setUp(t);
    const tunnel = open();
    for (let turn = 0; turn < 20; turn += 1) {
      tunnel.pulse.atMs = clock.elapsed();
      await pass(INTERVAL_MS / 4);
    }
    assert.deepEqual([asked.length, stateOf(tunnel)], [0, 'online']);
    const { at, how } = probes.truthOf(tunnel.id)?.lastProof ?? {};
    assert.deepEqual([at, how], [clock.now() - INTERVAL_MS / 4, 'traffic']);
  });

  test('is back by it from down, which is told', async (t) => {
    const { clock, turns, open, pass, answerWith, stateOf } = setUp(t, () => 1);
    answerWith(refuse);
    const tunnel = open();
    await pass(INTERVAL_MS);
    assert.equal(stateOf(tunnel), 'down');
    tunnel.pulse.atMs = clock.elapsed() + 1;
    await pass(LIMITS.probeLookMs);
    assert.deepEqual([stateOf(tunnel), turns.at(-1)], ['online', `${tunnel.id} back`]);
  });
});

test('a failure while bytes come through is no failure of the tunnel', async (t) => {
  const { clock, asked, outcomes, open, pass, stateOf } = setUp(t, () => 1);
  const tunnel = open();
  await pass(LIMITS.firstProbeMsMax);
  tunnel.pulse.atMs = clock.elapsed() + 1;
  await pass(LIMITS.probeLookMs);
  asked[0]?.fail(fail('UPSTREAM_TIMEOUT'));
  await settled();
  assert.deepEqual([outcomes, stateOf(tunnel)], [['inconclusive'], 'online']);
});

test('a tunnel with the label rstream.probe is not asked, and nothing is claimed of it', async (t) => {
  const { asked, open, pass, stateOf, probes } = setUp(t);
  const tunnel = open(newAgentId(), { 'rstream.probe': 'off' });
  await pass(2 * INTERVAL_MS);
  assert.deepEqual([asked.length, stateOf(tunnel)], [0, undefined]);
  assert.deepEqual(probes.counts(), { online: 0, suspect: 0, down: 0 });
});

describe('thousands of idle tunnels', () => {
  test('are asked each within the interval, few at once, and drift apart', async (t) => {
    const { clock, probes, asked, open, pass, answerWith } = setUp(t);
    const tunnels = Array.from({ length: 2_000 }, () => open());
    let mostAtOnce = 0;
    answerWith((probe) => {
      mostAtOnce = Math.max(mostAtOnce, probes.runningCount);
      probe.signal.addEventListener('abort', clock.after(500, probe.prove).cancel);
    });
    // A raw probe takes half a second, so the first round takes 2,000 / 64 / 2 s.
    await pass(LIMITS.firstProbeMsMax + 17_000);
    assert.equal(mostAtOnce, LIMITS.probesMax);
    assert.equal(new Set(asked.map(({ tunnel }) => tunnel.id)).size, 2_000);
    await pass(3 * INTERVAL_MS);
    const beganMs = clock.elapsed();
    const beforeCount = asked.length;
    await pass(INTERVAL_MS);
    assert.deepEqual(probes.counts(), { online: tunnels.length, suspect: 0, down: 0 });
    const perSecond = new Map<number, number>();
    for (const { atMs } of asked.slice(beforeCount)) {
      const second = Math.floor((atMs - beganMs) / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    assert.ok(Math.max(...perSecond.values()) <= 100, `${Math.max(...perSecond.values())} in one second`);
    assert.ok(asked.length - beforeCount < 4_000, `${asked.length - beforeCount} in one interval`);
  });

  test('of an agent that stalls leave room for those of others', async (t) => {
    const { asked, open, pass, answerWith, stateOf } = setUp(t);
    const stalling = newAgentId();
    for (let count = 0; count < 200; count += 1) open(stalling);
    answerWith(({ tunnel, prove }) => {
      if (tunnel.agentId !== stalling) prove();
    });
    const other = open();
    await pass(LIMITS.firstProbeMsMax);
    assert.equal(stateOf(other), 'online');
    const ofStalling = asked.filter(({ tunnel }) => tunnel.agentId === stalling);
    assert.equal(ofStalling.length, LIMITS.probesPerAgentMax);
  });
});

test('thousands that wait for their turn are not all looked at again with each answer', async (t) => {
  const { clock, asked, open, answerWith } = setUp(t, () => 1);
  answerWith(prove);
  let lookCount = 0;
  for (let i = 0; i < 2_000; i += 1)
    Object.defineProperty(open().pulse, 'atMs', {
      get: () => {
        lookCount += 1;
        return Number.NEGATIVE_INFINITY;
      },
    });
  clock.advance(LIMITS.firstProbeMsMax);
  while (asked.length < 2_000) await settled();
  const each = lookCount / asked.length;
  assert.ok(each < 100, `${each} for each of them`);
});

test('a tunnel that closes while it waits for its turn is not asked', async (t) => {
  const { asked, open, registry, clock } = setUp(t, () => 1);
  const tunnels = Array.from({ length: LIMITS.probesMax + 2 }, () => open());
  clock.advance(LIMITS.firstProbeMsMax);
  assert.equal(asked.length, LIMITS.probesMax);
  registry.close(tunnels[LIMITS.probesMax]!.id);
  asked[0]!.prove();
  await settled();
  assert.deepEqual(
    asked.slice(LIMITS.probesMax).map(({ tunnel }) => tunnel.id),
    [tunnels.at(-1)!.id],
  );
});

test('a tunnel that closes while it is asked is forgotten, and its place is free', async (t) => {
  const { registry, probes, asked, outcomes, open, pass, stateOf } = setUp(t);
  const tunnel = open();
  await pass(LIMITS.firstProbeMsMax);
  assert.equal(probes.runningCount, 1);
  registry.close(tunnel.id);
  await settled();
  assert.ok(asked[0]?.signal.aborted);
  assert.deepEqual([stateOf(tunnel), probes.runningCount, outcomes.length], [undefined, 0, 0]);
});

test('nobody is asked after the stop, and what is asked is called off', async (t) => {
  const { probes, asked, open, pass } = setUp(t);
  open();
  await pass(LIMITS.firstProbeMsMax);
  probes.stop();
  assert.ok(asked[0]?.signal.aborted);
  open();
  await pass(2 * INTERVAL_MS);
  assert.equal(asked.length, 1);
});
