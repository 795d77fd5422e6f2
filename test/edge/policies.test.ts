/** Policies of open tunnels: compiled when they open, dropped when they close, replaced while something runs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type EngineError, fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import type { Principal } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { createPolicies, type Policies, type Running } from '../../src/edge/policies.ts';
import type { EngineRules } from '../../src/policy/engine-rules.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';
import { requestText, startEdge } from './start-edge.ts';

const OWNER = { agentId: newAgentId(), credentialId: 'crd_1' };
const HOME = { remoteAddress: '192.0.2.1', tlsVersion: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' };
const AWAY = { remoteAddress: '198.51.100.1', tlsVersion: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' };
const ONLY_HOME: EngineRules = { ...OPEN_RULES, trustedIps: ['192.0.2.0/24'] };
const ONLY_AWAY: EngineRules = { ...OPEN_RULES, trustedIps: ['198.51.100.0/24'] };

const setUp = (rules: Partial<EngineRules> = {}) => {
  const lookups: string[] = [];
  const countries = new Map([[HOME.remoteAddress, 'FR']]);
  const registry = createRegistry(
    { clock: createFakeClock(), admit: (properties) => policies.admit(properties) },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const countryOf = (address: string) => {
    lookups.push(address);
    return countries.get(address);
  };
  const policies: Policies = createPolicies({ registry, countryOf }, { ...OPEN_RULES, ...rules });
  const open = (properties: TunnelProperties = {}) => registry.open(OWNER, properties);
  return { registry, policies, open, lookups, countries };
};

const followIn = (policies: Policies, running: Omit<Running, 'principal'> & Partial<Running>): Running => {
  const whole = { principal: undefined, ...running };
  policies.follow(whole);
  return whole;
};

describe('judging', () => {
  test('asks for a country only where the policy needs it', () => {
    const { policies, open, lookups } = setUp({ hasGeoipDatabase: true });
    const [plain, asking] = [open({ trustedIps: ['192.0.2.0/24'] }), open({ geoip: ['FR'] })];
    assert.equal(policies.judge(plain, HOME), undefined);
    assert.deepEqual(lookups, []);
    assert.equal(policies.judge(asking, HOME), undefined);
    assert.equal(policies.judge(asking, AWAY)?.code, 'COUNTRY_FORBIDDEN');
    assert.deepEqual(lookups, [HOME.remoteAddress, AWAY.remoteAddress]);
  });

  test('denies what is not open: a tunnel that has closed, and a private one', () => {
    const { policies, registry, open } = setUp();
    const tunnel = open();
    assert.equal(policies.judge(tunnel, HOME), undefined);
    registry.close(tunnel.id);
    assert.equal(policies.judge(tunnel, HOME)?.code, 'AGENT_GONE');
    assert.equal(policies.judge(open({ publish: false }), HOME)?.code, 'AGENT_GONE');
  });
});

test('a preview tells what other rules would cut, and cuts nothing', () => {
  const { policies, open } = setUp();
  const tunnel = open();
  const cut: EngineError[] = [];
  for (const connection of [HOME, AWAY])
    followIn(policies, { tunnel, connection, cut: (error) => cut.push(error) });
  const told = policies.preview(ONLY_HOME);
  assert.deepEqual(
    told.map(({ connection, error }) => [connection.remoteAddress, error.code]),
    [[AWAY.remoteAddress, 'ADDRESS_FORBIDDEN']],
  );
  assert.deepEqual([cut, policies.followedCount, policies.judge(tunnel, AWAY)], [[], 2, undefined]);
});

describe('other rules', () => {
  test('hold at once for new connections and new tunnels', () => {
    const { policies, open } = setUp();
    const tunnel = open();
    policies.replaceRules(ONLY_HOME);
    assert.equal(policies.judge(tunnel, AWAY)?.code, 'ADDRESS_FORBIDDEN');
    assert.equal(policies.judge(open(), AWAY)?.code, 'ADDRESS_FORBIDDEN');
    policies.replaceRules({ ...OPEN_RULES, publishedProtocols: [] });
    assert.equal(policies.judge(tunnel, HOME)?.code, 'TUNNEL_FORBIDDEN');
    assert.throws(() => open(), { code: 'POLICY_FORBIDS' });
    policies.replaceRules(OPEN_RULES);
    assert.equal(policies.judge(tunnel, AWAY), undefined);
  });

  test('cut what runs and is no longer allowed, once, and nothing else', () => {
    const { policies, open } = setUp();
    const tunnel = open();
    const cuts: [string, EngineError['code']][] = [];
    const follow = (name: string, connection: typeof HOME) =>
      followIn(policies, { tunnel, connection, cut: ({ code }) => cuts.push([name, code]) });
    follow('home', HOME);
    const over = follow('over', AWAY);
    follow('away', AWAY);
    policies.unfollow(over);
    policies.replaceRules(ONLY_HOME);
    policies.reevaluate();
    assert.deepEqual(cuts, [['away', 'ADDRESS_FORBIDDEN']]);
    assert.equal(policies.followedCount, 1);
  });

  test('cut what has outlived its tunnel as well', () => {
    const { policies, registry, open } = setUp();
    const tunnel = open();
    const cuts: EngineError['code'][] = [];
    followIn(policies, { tunnel, connection: AWAY, cut: ({ code }) => cuts.push(code) });
    registry.closeAll(OWNER.agentId, { isLost: true });
    policies.reevaluate();
    assert.deepEqual(cuts, []);
    policies.replaceRules(ONLY_HOME);
    assert.deepEqual(cuts, ['ADDRESS_FORBIDDEN']);
  });

  test('other countries do the same', () => {
    const { policies, open, countries } = setUp({ hasGeoipDatabase: true });
    const cuts: EngineError['code'][] = [];
    const tunnel = open({ geoip: ['FR'] });
    followIn(policies, { tunnel, connection: HOME, cut: ({ code }) => cuts.push(code) });
    policies.reevaluate();
    assert.deepEqual(cuts, []);
    countries.clear();
    policies.reevaluate();
    assert.deepEqual(cuts, ['COUNTRY_FORBIDDEN']);
  });

  test('a cut that ends others with it does not cut those a second time', () => {
    const { policies, open } = setUp();
    const tunnel = open();
    let cutCount = 0;
    const running: Running[] = [];
    const cut = () => {
      cutCount += 1;
      running.forEach(policies.unfollow);
    };
    for (const _item of [1, 2, 3]) running.push(followIn(policies, { tunnel, connection: AWAY, cut }));
    policies.replaceRules(ONLY_HOME);
    assert.equal(cutCount, 1);
  });
});

describe('a credential that is over', () => {
  const principal = (credentialId: string, kind: Principal['kind']): Principal => ({
    credentialId,
    kind,
    permissions: null,
  });

  test('cuts what runs by it, once, and nothing else', () => {
    const { policies, open } = setUp();
    const tunnel = open({ tokenAuth: true, mtlsAuth: true });
    const cuts: [string, EngineError['code']][] = [];
    const follow = (name: string, whom?: Principal) =>
      followIn(policies, {
        tunnel,
        connection: HOME,
        principal: whom,
        cut: ({ code }) => cuts.push([name, code]),
      });
    const [token, certificate] = [principal('gone', 'pat'), principal('gone', 'certificate')];
    follow('token', token);
    follow('certificate', certificate);
    const over = follow('over', token);
    follow('other', principal('other', 'pat'));
    follow('nobody');
    policies.unfollow(over);
    const isActive = ({ credentialId }: Principal) => credentialId !== 'gone';
    policies.recheck(isActive);
    policies.recheck(isActive);
    assert.deepEqual(cuts, [
      ['token', 'TOKEN_REVOKED'],
      ['certificate', 'CLIENT_CERTIFICATE_REVOKED'],
    ]);
    assert.equal(policies.followedCount, 2);
  });

  test('is a fact like others when rules change', () => {
    const { policies, open } = setUp();
    const tunnel = open({ tokenAuth: true });
    const cuts: EngineError['code'][] = [];
    const visitor = principal('visitor', 'pat');
    followIn(policies, { tunnel, connection: HOME, principal: visitor, cut: ({ code }) => cuts.push(code) });
    policies.reevaluate();
    assert.deepEqual(cuts, []);
    policies.replaceRules(ONLY_AWAY);
    assert.deepEqual(cuts, ['ADDRESS_FORBIDDEN']);
  });
});

describe('an exchange', () => {
  test('is followed from its request to the end of its answer', async (t) => {
    const { policies, connect, dial } = startEdge(t);
    const end = connect();
    end.socket.write(requestText('GET /'));
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    assert.equal(policies.followedCount, 1);
    upstream.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await end.until((text) => text.endsWith('ok'));
    assert.equal(policies.followedCount, 0);
  });

  test('that waits for its agent is refused when rules change, and its dial is given up', async (t) => {
    const { policies, connect, dial } = startEdge(t);
    const end = connect();
    end.socket.write(requestText('GET /'));
    const { signal, refuse } = await dial(0);
    policies.replaceRules(ONLY_AWAY);
    assert.match(
      await end.until((text) => text.endsWith('}\n')),
      /^HTTP\/1\.1 403 .*rstream-error: ADDRESS_FORBIDDEN/s,
    );
    assert.equal(policies.followedCount, 0);
    if (!signal?.aborted) refuse(fail('DIAL_BACK_REFUSED'));
  });

  test('that was switched to raw bytes is followed until both ends are closed', async (t) => {
    const { policies, connect, dial } = startEdge(t);
    const end = connect();
    end.socket.write(requestText('GET /', 'Connection: Upgrade', 'Upgrade: custom'));
    const upstream = (await dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    upstream.socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: custom\r\n\r\n',
    );
    await end.until((text) => text.endsWith('\r\n\r\n'));
    assert.equal(policies.followedCount, 1);
    policies.replaceRules(ONLY_AWAY);
    assert.equal(policies.followedCount, 0);
    await upstream.until(() => upstream.isEnded || upstream.socket.destroyed);
  });
});
