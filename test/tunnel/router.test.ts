/** From an address to a tunnel, to "gone" or to nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createRouter } from '../../src/tunnel/router.ts';
import { createFakeClock } from '../support/clock.ts';

const setUp = () => {
  const clock = createFakeClock();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const router = createRouter({ registry, clock }, { engineHost: 'localhost' });
  return { clock, registry, router, owner: { agentId: newAgentId(), credentialId: 'crd_1' } };
};

describe('an open tunnel', () => {
  for (const authority of [
    'shop.t.localhost',
    'shop.t.localhost:8443',
    'SHOP.t.LOCALHOST',
    'shop.t.localhost.',
  ])
    test(`is reached as ${authority}`, () => {
      const { registry, router, owner } = setUp();
      const tunnel = registry.open(owner, { hostname: 'shop' });
      assert.deepEqual(router.route(authority), { kind: 'tunnel', tunnel });
      assert.equal(router.publishedMode(authority).kind, 'http');
    });

  test('is answered with the same object each time', () => {
    const { registry, router, owner } = setUp();
    registry.open(owner, { hostname: 'shop' });
    assert.equal(router.route('shop.t.localhost'), router.route('shop.t.localhost'));
  });

  for (const authority of ['other.t.localhost', 't.localhost', 'shop', 'x.shop.t.localhost', '[::1]:443', ''])
    test(`is not reached as ${JSON.stringify(authority)}`, () => {
      const { registry, router, owner } = setUp();
      registry.open(owner, { hostname: 'shop' });
      registry.open(owner, { name: 'shop', publish: false });
      assert.deepEqual(router.route(authority), { kind: 'unknown' });
      assert.equal(router.publishedMode(authority).kind, 'unknown');
    });
});

test("the engine's own host is no tunnel, and not unknown either", () => {
  const { router } = setUp();
  for (const authority of ['localhost', 'LOCALHOST:8443']) {
    assert.deepEqual(router.route(authority), { kind: 'engine' });
    assert.equal(router.publishedMode(authority).kind, 'unknown');
  }
});

describe('the doorstep', () => {
  test('serves a tunnel as it is published, and goes on to when its agent is lost', () => {
    const { registry, router, owner } = setUp();
    registry.open(owner, { hostname: 'mail', protocol: 'tls', tlsAlpns: ['imap'], tlsMinVersion: 'tls1.3' });
    registry.open(owner, { hostname: 'own', protocol: 'tls', tlsMode: 'passthrough' });
    const mail = { kind: 'terminated', demands: { versionMin: 'TLSv1.3' }, alpnProtocols: ['imap'] };
    const check = () => {
      assert.deepEqual(router.publishedMode('mail.t.localhost'), mail);
      assert.deepEqual(router.publishedMode('own.t.localhost'), { kind: 'passthrough' });
    };
    check();
    registry.closeAll(owner.agentId, { isLost: true });
    check();
  });
});

describe('a hostname whose tunnel is no more', () => {
  test('is unknown when its agent closed it', () => {
    const { registry, router, owner } = setUp();
    registry.close(registry.open(owner, { hostname: 'shop' }).id);
    assert.equal(router.route('shop.t.localhost').kind, 'unknown');
  });

  test('is gone for ten minutes when its agent was lost, and the doorstep still serves it', () => {
    const { clock, registry, router, owner } = setUp();
    registry.open(owner, { hostname: 'shop' });
    registry.closeAll(owner.agentId, { isLost: true });
    assert.equal(router.route('Shop.t.localhost:443').kind, 'gone');
    assert.equal(router.publishedMode('shop.t.localhost').kind, 'http');
    clock.advance(LIMITS.goneHostnameMs - 1);
    assert.equal(router.route('shop.t.localhost').kind, 'gone');
    clock.advance(1);
    assert.equal(router.route('shop.t.localhost').kind, 'unknown');
    assert.equal(router.publishedMode('shop.t.localhost').kind, 'unknown');
  });

  test('is a tunnel again when an agent reopens it, and forgets that it was gone', () => {
    const { registry, router, owner } = setUp();
    registry.open(owner, { hostname: 'shop' });
    registry.closeAll(owner.agentId, { isLost: true });
    const tunnel = registry.open(owner, { hostname: 'shop' });
    assert.deepEqual(router.route('shop.t.localhost'), { kind: 'tunnel', tunnel });
    registry.close(tunnel.id);
    assert.equal(router.route('shop.t.localhost').kind, 'unknown');
  });

  test('is remembered for at most goneHostnamesMax names, the newest', () => {
    const { registry, router } = setUp();
    const lose = (hostname: string) => {
      const owner = { agentId: newAgentId(), credentialId: 'crd_1' };
      registry.open(owner, { hostname });
      registry.closeAll(owner.agentId, { isLost: true });
    };
    for (let i = 0; i < LIMITS.goneHostnamesMax; i++) lose(`n${i}`);
    assert.equal(router.route('n0.t.localhost').kind, 'gone');
    lose('n0');
    lose('newest');
    assert.equal(router.route('newest.t.localhost').kind, 'gone');
    assert.equal(router.route('n0.t.localhost').kind, 'gone', 'losing it again made it young');
    assert.equal(router.route('n1.t.localhost').kind, 'unknown');
  });
});
