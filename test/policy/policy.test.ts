/** Who may reach a tunnel: each rule on both sides, their order, and that all must allow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PERMISSIONS, type Principal } from '../../src/base/principal.ts';
import type { TlsDemands } from '../../src/base/tls.ts';
import type { EngineRules } from '../../src/policy/engine-rules.ts';
import { compilePolicy } from '../../src/policy/policy.ts';
import type { DenialCode, Facts } from '../../src/policy/verdict.ts';
import { publishedFrom } from '../../src/tunnel/published.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';

type Asked = Parameters<typeof compilePolicy>[0];

/** What the tunnel room makes of the TLS that is asked for. */
const demandsOf = (asked: Asked): TlsDemands | undefined => {
  if (!asked.tlsMinVersion && !asked.tlsCiphers?.length) return undefined;
  const published = publishedFrom({ publish: true, protocol: 'http', ...asked }, 'TLSv1.2');
  return published?.kind === 'http' ? published.demands : undefined;
};

const PUBLISHED = { publish: true, type: 'bytestream', protocol: 'http' };
const RULES = { ...OPEN_RULES, hasGeoipDatabase: true };
const HOME: Facts = {
  remoteAddress: '192.0.2.7',
  country: 'FR',
  tlsVersion: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  isPostQuantum: true,
};

/** The code of the denial, or `allow`. */
const judge = (asked: Asked, engine: Partial<EngineRules>, facts: Facts): DenialCode | 'allow' => {
  const properties = { ...PUBLISHED, ...asked };
  const verdict = compilePolicy(properties, { ...RULES, ...engine }, demandsOf(asked)).evaluate(facts);
  return verdict.kind === 'deny' ? verdict.code : 'allow';
};

test('a tunnel that asks for nothing is open to everybody, known or not', () => {
  assert.equal(judge({}, {}, HOME), 'allow');
  assert.equal(judge({}, {}, { remoteAddress: '' }), 'allow');
  assert.equal(judge({ trustedIps: [], geoip: [], tlsCiphers: [] }, {}, { remoteAddress: '' }), 'allow');
});

/** Each rule as a tunnel asks for it and, where the operator can, as the operator does. */
const RULES_BY_NAME: readonly {
  name: string;
  asked?: Asked;
  engine?: Partial<EngineRules>;
  allowed: readonly Partial<Facts>[];
  denied: readonly Partial<Facts>[];
  code: DenialCode;
}[] = [
  {
    name: 'addresses',
    asked: { trustedIps: ['192.0.2.0/24', '2001:db8::/32'] },
    engine: { trustedIps: ['192.0.2.0/24', '2001:db8::/32'] },
    allowed: [{}, { remoteAddress: '192.0.2.255' }, { remoteAddress: '2001:db8::1' }],
    denied: ['192.0.3.0', '2001:db9::1', '', 'nonsense', '192.0.2.7%eth0', '::192.0.2.7'].map(
      (remoteAddress) => ({
        remoteAddress,
      }),
    ),
    code: 'ADDRESS_FORBIDDEN',
  },
  {
    name: 'countries',
    asked: { geoip: ['FR', 'DE'] },
    engine: { geoip: ['FR', 'DE'] },
    allowed: [{}, { country: 'DE' }],
    denied: [{ country: 'US' }, { country: undefined }, { country: '' }, { country: 'fr' }],
    code: 'COUNTRY_FORBIDDEN',
  },
  {
    name: 'TLS versions',
    asked: { tlsMinVersion: 'tls1.3' },
    engine: { tlsVersionMin: 'TLSv1.3' },
    allowed: [{}],
    denied: ['TLSv1.2', 'TLSv1.1', 'TLSv1.4', '', undefined].map((tlsVersion) => ({ tlsVersion })),
    code: 'TLS_FORBIDDEN',
  },
  {
    name: 'the older TLS version',
    asked: { tlsMinVersion: 'tls1.2' },
    engine: { tlsVersionMin: 'TLSv1.2' },
    allowed: [{}, { tlsVersion: 'TLSv1.2' }],
    denied: ['TLSv1.1', '', undefined].map((tlsVersion) => ({ tlsVersion })),
    code: 'TLS_FORBIDDEN',
  },
  {
    name: 'ciphers',
    asked: { tlsCiphers: ['TLS_AES_128_GCM_SHA256'] },
    allowed: [{}],
    denied: ['TLS_AES_256_GCM_SHA384', '', undefined].map((cipher) => ({ cipher })),
    code: 'TLS_FORBIDDEN',
  },
  {
    name: 'post-quantum keys',
    engine: { requiresPostQuantum: true },
    allowed: [{}],
    denied: [{ isPostQuantum: false }, { isPostQuantum: undefined }],
    code: 'TLS_FORBIDDEN',
  },
];

for (const { name, asked, engine, allowed, denied, code } of RULES_BY_NAME)
  for (const [whose, ownAsked, ownEngine] of [
    ['a tunnel', asked, {}],
    ['the operator', {}, engine],
  ] as const)
    if (ownAsked && ownEngine)
      describe(`${name} by rule of ${whose}`, () => {
        for (const facts of allowed)
          test(`allows ${JSON.stringify(facts)}`, () =>
            assert.equal(judge(ownAsked, ownEngine, { ...HOME, ...facts }), 'allow'));
        for (const facts of denied)
          test(`denies ${JSON.stringify(facts)}`, () =>
            assert.equal(judge(ownAsked, ownEngine, { ...HOME, ...facts }), code));
      });

describe('proofs', () => {
  const principal = (kind: Principal['kind'], permissions: readonly string[] | null = null): Principal => ({
    credentialId: 'crd_1',
    kind,
    permissions: permissions && new Set(permissions),
  });
  const TOKEN = principal('pat');
  const CERTIFICATE = principal('certificate');
  const CASES: [Asked, Principal | undefined, DenialCode | 'allow'][] = [
    [{}, undefined, 'allow'],
    [{ tokenAuth: false, mtlsAuth: false }, undefined, 'allow'],
    [{ tokenAuth: true }, undefined, 'TOKEN_MISSING'],
    [{ tokenAuth: true }, TOKEN, 'allow'],
    [{ tokenAuth: true }, CERTIFICATE, 'TOKEN_MISSING'],
    [{ mtlsAuth: true }, undefined, 'CLIENT_CERTIFICATE_MISSING'],
    [{ mtlsAuth: true }, TOKEN, 'CLIENT_CERTIFICATE_MISSING'],
    [{ mtlsAuth: true }, CERTIFICATE, 'allow'],
    [{ tokenAuth: true, mtlsAuth: true }, undefined, 'TOKEN_MISSING'],
    [{ tokenAuth: true, mtlsAuth: true }, TOKEN, 'allow'],
    [{ tokenAuth: true, mtlsAuth: true }, CERTIFICATE, 'allow'],
    [{ tokenAuth: true }, principal('auth', []), 'PERMISSION_MISSING'],
    [{ tokenAuth: true }, principal('app', [PERMISSIONS.manageTunnels]), 'PERMISSION_MISSING'],
    [{ mtlsAuth: true }, principal('certificate', [PERMISSIONS.manageStreams]), 'allow'],
  ];
  for (const [asked, whom, expected] of CASES)
    test(`${JSON.stringify(asked)} of ${whom?.kind} is ${expected}`, () => {
      assert.equal(judge(asked, {}, { ...HOME, principal: whom }), expected);
      assert.equal(
        judge(asked, { requiresAuthentication: true }, { ...HOME, principal: whom }),
        asked.tokenAuth || asked.mtlsAuth ? expected : 'TUNNEL_FORBIDDEN',
      );
    });

  test('are judged last', () => {
    const asked = { tokenAuth: true, trustedIps: ['198.51.100.0/24'] };
    assert.equal(judge(asked, {}, HOME), 'ADDRESS_FORBIDDEN');
    assert.equal(judge({ tokenAuth: true, geoip: ['DE'] }, {}, HOME), 'COUNTRY_FORBIDDEN');
    assert.equal(
      judge({ tokenAuth: true }, { tlsVersionMin: 'TLSv1.3' }, { ...HOME, tlsVersion: 'TLSv1.2' }),
      'TLS_FORBIDDEN',
    );
  });
});

test('countries are needed only where a rule asks for one', () => {
  const needs = (asked: Asked, engine: Partial<EngineRules> = {}) =>
    compilePolicy({ ...PUBLISHED, ...asked }, { ...RULES, ...engine }).needs.country;
  assert.equal(needs({}), false);
  assert.equal(needs({ trustedIps: ['192.0.2.0/24'], geoip: [] }), false);
  assert.equal(needs({ geoip: ['FR'] }), true);
  assert.equal(needs({}, { geoip: ['FR'] }), true);
});

test('a tunnel that the operator forbids by now lets nobody in, whatever its rules say', () => {
  assert.equal(judge({}, { publishedProtocols: ['tls'] }, HOME), 'TUNNEL_FORBIDDEN');
  assert.equal(judge({}, { requiresAuthentication: true }, HOME), 'TUNNEL_FORBIDDEN');
  assert.equal(judge({ geoip: ['FR'] }, { hasGeoipDatabase: false }, HOME), 'TUNNEL_FORBIDDEN');
});
