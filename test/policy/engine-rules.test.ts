/** Which tunnels the operator's rules forbid, and that each refusal names the setting. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { type EngineRules, objectionTo } from '../../src/policy/engine-rules.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';

const HTTP: TunnelProperties = { publish: true, type: 'bytestream', protocol: 'http' };
const TCP: TunnelProperties = { ...HTTP, protocol: 'tcp' };
const TERMINATED: TunnelProperties = { ...HTTP, protocol: 'tls', tlsMode: 'terminated' };
const PASSTHROUGH: TunnelProperties = { ...TERMINATED, tlsMode: 'passthrough' };

const objection = (properties: TunnelProperties, rules: Partial<EngineRules>) =>
  objectionTo(properties, { ...OPEN_RULES, ...rules });

const AUTHENTICATION = { requiresAuthentication: true };
const MODERN = { tlsVersionMin: 'TLSv1.3' } as const;
const QUANTUM = { requiresPostQuantum: true };

describe('forbids', () => {
  const FORBIDDEN: [TunnelProperties, Partial<EngineRules>, sentence: string][] = [
    [TCP, { publishedProtocols: ['http', 'tls'] }, 'protocol tcp is not in policy.published_protocols'],
    [HTTP, { publishedProtocols: [] }, 'protocol http is not in policy.published_protocols'],
    [PASSTHROUGH, { publishedProtocols: ['http'] }, 'protocol tls is not in policy.published_protocols'],
    [
      HTTP,
      AUTHENTICATION,
      'policy.require_authentication is on, and the tunnel asks for none (token_auth, mtls_auth)',
    ],
    [
      { ...HTTP, tokenAuth: false },
      AUTHENTICATION,
      'policy.require_authentication is on, and the tunnel asks for none (token_auth, mtls_auth)',
    ],
    [
      TCP,
      AUTHENTICATION,
      'policy.require_authentication is on, and protocol tcp has no authentication at the edge',
    ],
    [
      { ...PASSTHROUGH, mtlsAuth: true },
      AUTHENTICATION,
      'policy.require_authentication is on, and TLS passthrough has no authentication at the edge',
    ],
    [
      { ...HTTP, tlsMinVersion: 'tls1.2' },
      MODERN,
      'tls_min_version tls1.2 is below policy.tls_min_version, which is tls1.3',
    ],
    [TCP, MODERN, 'policy.tls_min_version is tls1.3, which the engine cannot enforce on protocol tcp'],
    [
      PASSTHROUGH,
      { tlsVersionMin: 'TLSv1.2' },
      'policy.tls_min_version is tls1.2, which the engine cannot enforce on TLS passthrough',
    ],
    [TCP, QUANTUM, 'policy.post_quantum is require, which the engine cannot enforce on protocol tcp'],
    [
      PASSTHROUGH,
      QUANTUM,
      'policy.post_quantum is require, which the engine cannot enforce on TLS passthrough',
    ],
    [
      { ...HTTP, trustedIps: ['192.0.2.1', '0.0.0.0/0'] },
      {},
      'trusted_ips: 0.0.0.0/0 covers every address, and policy.allow_any is off',
    ],
    [
      { ...TCP, trustedIps: ['::/0'] },
      {},
      'trusted_ips: ::/0 covers every address, and policy.allow_any is off',
    ],
    [{ ...HTTP, geoip: ['FR'] }, {}, 'geoip: the engine has no database of countries (geoip.database)'],
  ];
  for (const [properties, rules, sentence] of FORBIDDEN)
    test(sentence, () => assert.equal(objection(properties, rules), sentence));
});

describe('allows', () => {
  const ALLOWED: [name: string, TunnelProperties, Partial<EngineRules>][] = [
    ['every protocol by default', TCP, {}],
    ['TLS passthrough by default', PASSTHROUGH, {}],
    ['an authenticated tunnel', { ...HTTP, tokenAuth: true }, AUTHENTICATION],
    ['a tunnel with client certificates', { ...TERMINATED, mtlsAuth: true }, AUTHENTICATION],
    ['a tunnel that leaves the TLS version to the engine', HTTP, MODERN],
    ['a tunnel that asks for as much TLS', { ...HTTP, tlsMinVersion: 'tls1.3' }, MODERN],
    ['a tunnel that asks for more TLS', { ...HTTP, tlsMinVersion: 'tls1.3' }, { tlsVersionMin: 'TLSv1.2' }],
    ['post-quantum keys where the engine ends TLS', TERMINATED, QUANTUM],
    ['every address where that was said twice', { ...HTTP, trustedIps: ['0.0.0.0/0'] }, { allowsAny: true }],
    ['large ranges that are not everything', { ...HTTP, trustedIps: ['0.0.0.0/1'] }, {}],
    ['countries where they can be known', { ...HTTP, geoip: ['FR'] }, { hasGeoipDatabase: true }],
  ];
  for (const [name, properties, rules] of ALLOWED)
    test(name, () => assert.equal(objection(properties, rules), undefined));

  test('private tunnels, whatever the rules', () => {
    const all = { ...AUTHENTICATION, ...MODERN, ...QUANTUM, publishedProtocols: [] };
    for (const properties of [
      { type: 'bytestream' },
      { ...HTTP, publish: false },
      { publish: false, type: 'datagram' },
    ])
      assert.equal(objection(properties, all), undefined);
  });
});
