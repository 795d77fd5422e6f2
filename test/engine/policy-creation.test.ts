/** Tunnels that are refused when they are asked for: the property or the setting at fault is named, and nothing is opened or taken over. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEngine } from '../support/engine.ts';
import { FakeRefusal, type TunnelProperties } from '../support/fake-agent.ts';

const WEB = { hostname: 'web', publish: true };

describe('a request for a tunnel', () => {
  const REFUSED: [properties: TunnelProperties, policy: Record<string, unknown>, sentence: RegExp][] = [
    [
      { trustedIps: ['10.0.0.1/8'] },
      {},
      /refused: trusted_ips: 10\.0\.0\.1\/8 has bits set behind its prefix/,
    ],
    [{ trustedIps: ['office'] }, {}, /refused: trusted_ips: office must be an IP address or a CIDR range/],
    [{ geoip: ['France'] }, {}, /refused: geoip: France must be a country of two letters/],
    [{ geoip: ['FR'] }, {}, /policy of this engine forbids the tunnel: geoip: .*\(geoip\.database\)/],
    [{ trustedIps: ['::ffff:0:0/96'] }, {}, /trusted_ips: 0\.0\.0\.0\/0 covers .* policy\.allow_any is off/],
    [{}, { published_protocols: ['tls'] }, /protocol http is not in policy\.published_protocols/],
    [
      {},
      { require_authentication: true },
      /policy\.require_authentication is on, and the tunnel asks for none/,
    ],
    [
      { tlsMinVersion: 'tls1.2' },
      { tls_min_version: 'tls1.3' },
      /tls_min_version tls1\.2 is below policy\.tls_min_version/,
    ],
  ];
  for (const [properties, policy, sentence] of REFUSED)
    test(`of ${JSON.stringify(properties)} under ${JSON.stringify(policy)} is refused for good`, async (t) => {
      const engine = await startEngine(t, { settings: { policy } });
      const agent = await engine.connectAgent();
      await assert.rejects(agent.openTunnel({ ...WEB, ...properties }), (error) => {
        assert.ok(error instanceof FakeRefusal);
        // protocol.md 12.3: `rstream forward` tries again on 6000 and above.
        assert.equal(error.code, 2000);
        assert.match(error.message, sentence);
        return true;
      });
      assert.equal(engine.engine.counts().tunnels, 0);
      await agent.openTunnel({ publish: false, name: 'private' });
    });

  test('that is forbidden takes no name over', async (t) => {
    const engine = await startEngine(t);
    const older = await engine.connectAgent();
    await older.openTunnel(WEB);
    const newer = await engine.connectAgent();
    await assert.rejects(newer.openTunnel({ ...WEB, geoip: ['FR'] }), { code: 2000 });
    assert.equal(engine.engine.counts().tunnels, 1);
    assert.deepEqual(older.unread, []);
  });
});
