/**
 * Rules of a tunnel and of the operator in every combination, against an oracle that is a list of checks in the one order: the tunnel
 * itself, address, country, TLS, post-quantum keys, proof.
 *
 * Each run has another seed, which is printed; `SEED=<seed>` repeats one.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { PERMISSIONS, type Principal } from '../../src/base/principal.ts';
import { TLS_SUITES, type TlsDemands } from '../../src/base/tls.ts';
import type { EngineRules } from '../../src/policy/engine-rules.ts';
import { compilePolicy } from '../../src/policy/policy.ts';
import type { DenialCode, Facts } from '../../src/policy/verdict.ts';
import { createRandom, type Random } from '../fuzz/random.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 20_000;

const startRandom = (t: TestContext): Random => {
  t.diagnostic(`SEED=${SEED}`);
  return createRandom(SEED);
};

interface Case {
  readonly properties: Parameters<typeof compilePolicy>[0];
  readonly engine: EngineRules;
  readonly demands: TlsDemands | undefined;
  readonly facts: Facts;
}

const SUITES = TLS_SUITES.slice(0, 2);
const ADDRESSES = ['192.0.2.1', '192.0.2.200', '198.51.100.1', '2001:db8::1', ''];
const principalOf = (kind: Principal['kind'], permissions: readonly string[] | null): Principal => ({
  credentialId: 'crd_1',
  kind,
  permissions: permissions && new Set(permissions),
});
const PRINCIPALS = (['pat', 'app', 'certificate'] as const).flatMap((kind) => [
  principalOf(kind, null),
  principalOf(kind, [PERMISSIONS.manageStreams]),
  principalOf(kind, [PERMISSIONS.manageTunnels]),
]);

const caseFrom = (random: Random): Case => {
  const maybe = <Value>(...values: Value[]) => (random.below(2) === 0 ? undefined : random.pick(values));
  return {
    properties: {
      publish: true,
      type: 'bytestream',
      protocol: random.pick(['http', 'http', 'http', 'tls']),
      trustedIps: maybe<string[]>(['192.0.2.0/25'], ['192.0.2.0/24', '2001:db8::/32']) ?? [],
      geoip: maybe<string[]>(['FR'], ['FR', 'DE']) ?? [],
      tokenAuth: random.below(2) === 0,
      mtlsAuth: random.below(3) === 0,
    },
    engine: {
      requiresAuthentication: random.below(4) === 0,
      publishedProtocols: random.pick([['http', 'tls'], ['http', 'tls'], ['http']]),
      tlsVersionMin: maybe('TLSv1.2', 'TLSv1.3'),
      requiresPostQuantum: random.below(4) === 0,
      trustedIps: maybe<string[]>(['192.0.2.0/24'], ['198.51.100.0/24', '192.0.2.0/25']) ?? [],
      geoip: maybe<string[]>(['FR'], ['US', 'DE']) ?? [],
      allowsAny: false,
      hasGeoipDatabase: random.below(8) !== 0,
    },
    demands: maybe<TlsDemands>(
      { versionMin: 'TLSv1.3' },
      { versionMin: 'TLSv1.2', suites: SUITES },
      { versionMin: 'TLSv1.2' },
    ),
    facts: {
      remoteAddress: random.pick(ADDRESSES),
      country: random.pick(['FR', 'DE', 'US', undefined]),
      tlsVersion: random.pick(['TLSv1.2', 'TLSv1.3', 'TLSv1.3', undefined]),
      cipher: random.pick([SUITES[0]?.name, 'TLS_NULL_WITH_NULL_NULL', undefined]),
      isPostQuantum: random.pick([true, false, undefined]),
      principal: random.pick([...PRINCIPALS, undefined]),
    },
  };
};

/** Who is in which range, said once more and by hand. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  '192.0.2.0/25': ['192.0.2.1'],
  '192.0.2.0/24': ['192.0.2.1', '192.0.2.200'],
  '198.51.100.0/24': ['198.51.100.1'],
  '2001:db8::/32': ['2001:db8::1'],
};
const lacks = (list: readonly string[] | undefined, isIn: (entry: string) => boolean) =>
  list !== undefined && list.length > 0 && !list.some(isIn);

/** Every rule that is broken, in the order in which they are told. */
const brokenIn = ({ properties, engine, demands, facts }: Case): DenialCode[] => {
  const { remoteAddress, country, tlsVersion, cipher, isPostQuantum, principal } = facts;
  const isMember = (range: string) => MEMBERS[range]?.includes(remoteAddress) === true;
  const [token, certificate] = [properties.tokenAuth === true, properties.mtlsAuth === true];
  const isAsked = token || certificate;
  const isTooOld = (min: string | undefined) =>
    min !== undefined && (tlsVersion === undefined || tlsVersion < min);
  const isProof = principal !== undefined && (principal.kind === 'certificate' ? certificate : token);
  const checks: [DenialCode, boolean][] = [
    [
      'TUNNEL_FORBIDDEN',
      !engine.publishedProtocols.includes(properties.protocol as string) ||
        (engine.requiresAuthentication && !isAsked) ||
        ((properties.geoip?.length ?? 0) > 0 && !engine.hasGeoipDatabase),
    ],
    ['ADDRESS_FORBIDDEN', lacks(engine.trustedIps, isMember) || lacks(properties.trustedIps, isMember)],
    [
      'COUNTRY_FORBIDDEN',
      lacks(engine.geoip, (entry) => entry === country) ||
        lacks(properties.geoip, (entry) => entry === country),
    ],
    [
      'TLS_FORBIDDEN',
      isTooOld(engine.tlsVersionMin) ||
        isTooOld(demands?.versionMin) ||
        (demands?.suites !== undefined && !demands.suites.some(({ name }) => name === cipher)) ||
        (engine.requiresPostQuantum && isPostQuantum !== true),
    ],
    [token ? 'TOKEN_MISSING' : 'CLIENT_CERTIFICATE_MISSING', isAsked && !isProof],
    [
      'PERMISSION_MISSING',
      isAsked && isProof && principal.permissions?.has(PERMISSIONS.manageStreams) === false,
    ],
  ];
  return checks.flatMap(([code, isBroken]) => (isBroken ? [code] : []));
};

const judge = ({ properties, engine, demands, facts }: Case): DenialCode | 'allow' => {
  const verdict = compilePolicy(properties, engine, demands).evaluate(facts);
  return verdict.kind === 'deny' ? verdict.code : 'allow';
};

const told = (one: Case) =>
  JSON.stringify(one, (_, value: unknown) => (value instanceof Set ? [...value] : value));

test('the first reason is told, and who breaks no rule is allowed', (t) => {
  const random = startRandom(t);
  const seen = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const one = caseFrom(random);
    const [expected = 'allow'] = brokenIn(one);
    assert.equal(judge(one), expected, told(one));
    seen.add(expected);
  }
  assert.equal(seen.size, 8, 'every verdict came up');
});

test('to know less never lets anybody in', (t) => {
  const random = startRandom(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const one = caseFrom(random);
    const unknown = random.pick([
      'country',
      'tlsVersion',
      'cipher',
      'isPostQuantum',
      'principal',
      'remoteAddress',
    ]);
    const less = { ...one, facts: { ...one.facts, [unknown]: unknown === 'remoteAddress' ? '' : undefined } };
    if (judge(one) !== 'allow') assert.notEqual(judge(less), 'allow', told(less));
  }
});

test('one rule more never lets anybody in', (t) => {
  const random = startRandom(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const one = caseFrom(random);
    const other = caseFrom(random);
    const stricter = {
      ...one,
      engine: {
        ...one.engine,
        ...random.pick<Partial<EngineRules>>([
          { requiresAuthentication: true },
          { requiresPostQuantum: true },
          { publishedProtocols: one.engine.publishedProtocols.filter((each) => each !== 'tls') },
          { hasGeoipDatabase: false },
          ...(one.engine.trustedIps.length === 0 ? [{ trustedIps: other.engine.trustedIps }] : []),
          ...(one.engine.geoip.length === 0 ? [{ geoip: other.engine.geoip }] : []),
          ...(one.engine.tlsVersionMin === undefined ? [{ tlsVersionMin: other.engine.tlsVersionMin }] : []),
        ]),
      },
    };
    if (judge(one) !== 'allow') assert.notEqual(judge(stricter), 'allow', told(stricter));
  }
});

test('a tunnel that everything is open to needs no facts but the address', () => {
  const { needs } = compilePolicy({ publish: true, protocol: 'http' }, OPEN_RULES);
  assert.deepEqual(needs, { country: false, proof: undefined });
});
