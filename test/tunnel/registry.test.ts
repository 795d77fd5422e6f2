/** Opening, finding and closing tunnels; who owns a name. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import type { TunnelOwner } from '../../src/tunnel/tunnel.ts';
import { createFakeClock } from '../support/clock.ts';

const newOwner = (credentialId = 'crd_1'): TunnelOwner => ({ agentId: newAgentId(), credentialId });

const setUp = (port = 8443) => {
  const clock = createFakeClock();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => port },
  );
  return { clock, registry, owner: newOwner() };
};

describe('the reply', () => {
  test('a published tunnel says its hostname, the port that downstreams use, and both as host', () => {
    const { clock, registry, owner } = setUp();
    const tunnel = registry.open(owner, { name: 'web', hostname: 'shop', labels: { env: 'dev' } });
    assert.match(tunnel.id, /^tun_[0-9a-z]{20}$/);
    assert.equal(tunnel.agentId, owner.agentId);
    assert.equal(tunnel.credentialId, 'crd_1');
    assert.equal(tunnel.openedAt, clock.now());
    assert.deepEqual(tunnel.properties, {
      id: tunnel.id,
      creationDate: clock.now(),
      name: 'web',
      labels: { env: 'dev' },
      publish: true,
      type: 'bytestream',
      protocol: 'http',
      httpVersion: 'http/1.1',
      hostname: 'shop.t.localhost',
      port: 8443,
      host: 'shop.t.localhost:8443',
    });
    assert.ok(Object.isFrozen(tunnel) && Object.isFrozen(tunnel.properties));
  });

  test('host leaves the port out where it is 443', () => {
    const { registry, owner } = setUp(443);
    const { host, port } = registry.open(owner, { hostname: 'shop' }).properties;
    assert.deepEqual({ host, port }, { host: 'shop.t.localhost', port: 443 });
  });

  test('a tunnel without a wanted hostname gets one of its own', () => {
    const { registry, owner } = setUp();
    const hostnames = [1, 2, 3].map(() => registry.open(owner, {}).properties.hostname);
    assert.equal(new Set(hostnames).size, 3);
  });

  test('a private tunnel has no address', () => {
    const { registry, owner } = setUp();
    const { properties } = registry.open(owner, { publish: false, name: 'db' });
    for (const key of ['host', 'hostname', 'port']) assert.ok(!(key in properties), key);
  });
});

describe('looking up', () => {
  test('by id, by name, by session, and all in the order of opening', () => {
    const { registry, owner } = setUp();
    const web = registry.open(owner, { name: 'web' });
    const db = registry.open(newOwner(), { name: 'db', publish: false });
    assert.equal(registry.byId(web.id), web);
    assert.equal(registry.byId('web'), undefined);
    assert.equal(registry.find(db.id), db);
    assert.equal(registry.find('db'), db);
    assert.equal(registry.find('nothing'), undefined);
    assert.deepEqual(registry.list(), [web, db]);
    assert.deepEqual(registry.list(owner.agentId), [web]);
    assert.deepEqual(registry.list(newAgentId()), []);
    assert.equal(registry.count, 2);
  });

  test('an id wins over a name that spells it', () => {
    const { registry, owner } = setUp();
    const first = registry.open(owner, { publish: false });
    registry.open(owner, { publish: false, name: first.id });
    assert.equal(registry.find(first.id), first);
  });
});

describe('names belong to one open tunnel', () => {
  test('a name is unique in the whole engine, private or published', () => {
    const { registry, owner } = setUp();
    registry.open(owner, { name: 'web' });
    assert.throws(() => registry.open(newOwner('crd_2'), { name: 'web', publish: false }), {
      code: 'TUNNEL_NAME_IN_USE',
    });
    assert.equal(registry.count, 1);
  });

  test('a hostname is unique however it is spelled, and the refusal is the one that clients retry on', () => {
    const { registry, owner } = setUp();
    registry.open(owner, { hostname: 'shop' });
    assert.throws(() => registry.open(newOwner('crd_2'), { hostname: 'SHOP.t.localhost.' }), {
      code: 'HOSTNAME_IN_USE',
      message: 'Hostname is already in use.',
    });
  });

  test('the rival is who holds the name or the hostname, one after the other', () => {
    const { registry, owner } = setUp();
    const byName = registry.open(owner, { name: 'web', publish: false });
    const byHostname = registry.open(owner, { hostname: 'shop' });
    const wanted = { name: 'web', hostname: 'shop' };
    assert.equal(registry.rivalOf(wanted), byName);
    registry.close(byName.id);
    assert.equal(registry.rivalOf(wanted), byHostname);
    registry.close(byHostname.id);
    assert.equal(registry.rivalOf(wanted), undefined);
    assert.equal(registry.rivalOf({}), undefined);
    assert.throws(() => registry.rivalOf({ hostname: 'a.b' }), { code: 'HOSTNAME_INVALID' });
  });

  test('closing frees the name and the hostname at once', () => {
    const { registry, owner } = setUp();
    const first = registry.open(owner, { name: 'web', hostname: 'shop' });
    assert.equal(registry.close(first.id), first);
    assert.equal(registry.close(first.id), undefined);
    const second = registry.open(newOwner(), { name: 'web', hostname: 'shop' });
    assert.equal(registry.find('web'), second);
  });

  test('late clean-up of an old session leaves the tunnel that took its name over', () => {
    const { registry, owner } = setUp();
    registry.open(owner, { name: 'web', hostname: 'shop' });
    registry.closeAll(owner.agentId, { isLost: true });
    const second = registry.open(newOwner(), { name: 'web', hostname: 'shop' });
    assert.deepEqual(registry.closeAll(owner.agentId, { isLost: true }), []);
    assert.equal(registry.find('web'), second);
    assert.equal(registry.rivalOf({ hostname: 'shop' }), second);
  });
});

describe('limits', () => {
  test('tunnelsPerSessionMax bounds one session and not the next', () => {
    const { registry, owner } = setUp();
    for (let i = 0; i < LIMITS.tunnelsPerSessionMax; i++) registry.open(owner, { publish: false });
    assert.throws(() => registry.open(owner, { publish: false }), { code: 'TUNNEL_LIMIT' });
    registry.open(newOwner(), { publish: false });
  });

  test('tunnelsMax bounds the engine', () => {
    const { registry } = setUp();
    const sessionCount = LIMITS.tunnelsMax / LIMITS.tunnelsPerSessionMax;
    for (let session = 0; session < sessionCount; session++) {
      const owner = newOwner();
      for (let i = 0; i < LIMITS.tunnelsPerSessionMax; i++) registry.open(owner, { publish: false });
    }
    assert.throws(() => registry.open(newOwner(), {}), { code: 'TUNNEL_LIMIT' });
    assert.equal(registry.count, LIMITS.tunnelsMax);
  });
});

describe('listeners', () => {
  test('hear each opening and closing once, with how it ended, when every index is true already', () => {
    const { registry, owner } = setUp();
    const heard: string[] = [];
    const stopOpened = registry.onOpened((tunnel) =>
      heard.push(`+${tunnel.properties.name} ${registry.count}`),
    );
    const stopClosed = registry.onClosed((tunnel, { isLost }) =>
      heard.push(`-${tunnel.properties.name} ${isLost} ${registry.count}`),
    );
    const a = registry.open(owner, { name: 'a' });
    registry.open(owner, { name: 'b' });
    registry.open(owner, { name: 'c' });
    registry.close(a.id);
    registry.closeAll(owner.agentId, { isLost: true });
    stopOpened();
    stopClosed();
    registry.open(owner, { name: 'd' });
    registry.closeAll(owner.agentId, { isLost: false });
    assert.deepEqual(heard, ['+a 1', '+b 2', '+c 3', '-a false 2', '-b true 0', '-c true 0']);
  });

  test('hear nothing of a tunnel that was refused', () => {
    const { registry, owner } = setUp();
    registry.onOpened(() => assert.fail('nothing opened'));
    assert.throws(() => registry.open(owner, { protocol: 'quic' }), { code: 'FEATURE_NOT_AVAILABLE' });
    assert.equal(registry.count, 0);
  });
});

test('what the rules of the engine forbid is neither opened nor a rival of anybody', () => {
  const forbidden = fail('POLICY_FORBIDS', { problem: 'protocol http is not allowed' });
  const asked: unknown[] = [];
  const registry = createRegistry(
    {
      clock: createFakeClock(),
      admit: (resolved) => {
        asked.push(resolved.protocol);
        if (resolved.publish) throw forbidden;
      },
    },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const owner = newOwner();
  registry.open(owner, { publish: false, name: 'web' });
  assert.throws(() => registry.open(owner, { hostname: 'web' }), forbidden);
  assert.throws(() => registry.rivalOf({ name: 'web' }), forbidden);
  assert.equal(registry.count, 1);
  assert.deepEqual(asked, [undefined, 'http', 'http']);
});
