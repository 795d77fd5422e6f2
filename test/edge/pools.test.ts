import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import { createSweep } from '../../src/base/time.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { createPools } from '../../src/edge/pools.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';

const SOURCE = { address: '192.0.2.1' };

/** Pools whose dials never come back unless their signal says so. */
const setUp = (t: TestContext, requestsPerTunnelMax = 100) => {
  const clock = createFakeClock();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const dialled: string[] = [];
  const pools = createPools(
    {
      clock,
      registry,
      sweep: createSweep(clock, 1_000),
      secureUpstream: (socket) => Promise.resolve({ socket, alpnProtocol: undefined }),
      dialBack: ({ id }, _source, signal) => {
        dialled.push(id);
        return new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(fail('REQUEST_ABORTED'))),
        );
      },
    },
    { idleMs: 1_000, requestsPerTunnelMax },
  );
  t.after(() => {
    pools.close();
    assert.equal(clock.pendingCount, 0, 'timers are left');
  });
  const open = (properties: TunnelProperties = {}) =>
    registry.open({ agentId: newAgentId(), credentialId: 'crd_1' }, properties);
  const denials: string[] = [];
  const waiter = () => ({
    granted: () => assert.fail('there is no stream'),
    denied: ({ code }: EngineError) => void denials.push(code),
  });
  return { registry, pools, dialled, denials, open, waiter };
};

test('a tunnel has one pool, and each tunnel its own', (t) => {
  const { pools, open } = setUp(t);
  const [one, other] = [open(), open()];
  assert.equal(pools.of(one, 'any'), pools.of(one, 'any'));
  assert.notEqual(pools.of(one, 'any'), pools.of(other, 'any'));
});

test('upgrades share the pool where HTTP/1.1 is spoken anyway, and have one of their own elsewhere', (t) => {
  const { pools, open } = setUp(t);
  for (const [properties, isShared] of [
    [{}, true],
    [{ httpVersion: 'http/1.1' }, true],
    [{ httpVersion: 'h2c' }, false],
    [{ httpVersion: 'h2' }, false],
    [{ upstreamTls: true }, false],
  ] as const) {
    const tunnel = open(properties);
    assert.equal(pools.of(tunnel, 'any') === pools.of(tunnel, 'http/1.1'), isShared);
  }
});

test('an upstream that is known to speak HTTP/2 is dialled once for many', (t) => {
  const { pools, dialled, open, waiter } = setUp(t);
  for (const [properties, choice, count] of [
    [{ httpVersion: 'h2c' }, 'any', 1],
    [{ httpVersion: 'h2c' }, 'http/1.1', 3],
    [{}, 'any', 3],
    [{ upstreamTls: true }, 'any', 3],
  ] as const) {
    dialled.length = 0;
    const pool = pools.of(open(properties), choice);
    for (let asked = 0; asked < 3; asked += 1) pool.acquire(waiter(), SOURCE);
    assert.equal(dialled.length, count);
  }
});

test('a tunnel that closes takes its pools with it, and gets no new one', (t) => {
  const { pools, registry, denials, open, waiter } = setUp(t);
  const tunnel = open({ httpVersion: 'h2c' });
  const [any, http1] = [pools.of(tunnel, 'any'), pools.of(tunnel, 'http/1.1')];
  for (const pool of [any, http1]) pool.acquire(waiter(), SOURCE);
  assert.equal(pools.count, 2);
  registry.close(tunnel.id);
  assert.deepEqual(denials, ['AGENT_GONE', 'AGENT_GONE']);
  pools.of(tunnel, 'any').acquire(waiter(), SOURCE);
  assert.equal(denials.length, 3);
  assert.equal(pools.count, 0);
});

test('all are denied when the engine ends, and the limit of a tunnel is its own', (t) => {
  const { pools, denials, open, waiter } = setUp(t, 1);
  const [one, other] = [open(), open()];
  for (const tunnel of [one, one, other]) pools.of(tunnel, 'any').acquire(waiter(), SOURCE);
  assert.deepEqual(denials, ['REQUEST_LIMIT']);
  pools.close();
  assert.deepEqual(denials, ['REQUEST_LIMIT', 'ENGINE_DRAINING', 'ENGINE_DRAINING']);
});
