/** What a tunnel may ask for: defaults, refusals with their sentences, bounds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { resolveProperties } from '../../src/tunnel/properties.ts';

const PRIVATE = { publish: false } as const;

const errorOf = (requested: TunnelProperties): EngineError => {
  try {
    resolveProperties(requested);
  } catch (thrown) {
    assert.ok(thrown instanceof EngineError);
    return thrown;
  }
  throw new assert.AssertionError({ message: `was accepted: ${JSON.stringify(requested).slice(0, 200)}` });
};

describe('defaults', () => {
  const cases: readonly { name: string; requested: TunnelProperties; resolved: TunnelProperties }[] = [
    {
      name: 'nothing asked for is a published http/1.1 byte stream',
      requested: {},
      resolved: { publish: true, protocol: 'http', type: 'bytestream', httpVersion: 'http/1.1' },
    },
    {
      name: 'empty texts, lists and labels are unset, as docker labels leave them',
      requested: {
        name: '',
        host: '',
        hostname: '',
        protocol: '',
        type: '',
        httpVersion: '',
        tlsMode: '',
        mtlsCacertPem: '',
        trustedIps: [],
        geoip: [],
        tlsCiphers: [],
        labels: {},
      },
      resolved: { publish: true, protocol: 'http', type: 'bytestream', httpVersion: 'http/1.1' },
    },
    {
      name: 'a private tunnel gets a type and nothing else',
      requested: PRIVATE,
      resolved: { publish: false, type: 'bytestream' },
    },
    {
      name: 'a private tunnel keeps what describes its bytes',
      requested: {
        ...PRIVATE,
        protocol: 'http',
        httpVersion: 'h2c',
        tlsAlpns: ['h2'],
        upstreamTls: true,
        name: 'db',
      },
      resolved: {
        publish: false,
        type: 'bytestream',
        protocol: 'http',
        httpVersion: 'h2c',
        tlsAlpns: ['h2'],
        upstreamTls: true,
        httpUseTls: true,
        name: 'db',
      },
    },
    {
      name: 'a private datagram tunnel keeps guaranteed delivery',
      requested: { ...PRIVATE, type: 'datagram', datagramGuaranteedDelivery: true },
      resolved: { publish: false, type: 'datagram', datagramGuaranteedDelivery: true },
    },
    {
      name: 'the read-only fields of an earlier reply are ignored, its host is the hostname without port',
      requested: { id: 'tun_old', creationDate: 1, host: 'shop.t.localhost:8443' },
      resolved: {
        publish: true,
        protocol: 'http',
        type: 'bytestream',
        httpVersion: 'http/1.1',
        hostname: 'shop.t.localhost',
      },
    },
    {
      name: 'hostname wins over the deprecated host',
      requested: { host: 'old', hostname: 'new' },
      resolved: {
        publish: true,
        protocol: 'http',
        type: 'bytestream',
        httpVersion: 'http/1.1',
        hostname: 'new',
      },
    },
    {
      name: 'http_use_tls is the old spelling of upstream_tls',
      requested: { ...PRIVATE, httpUseTls: true, upstreamTls: false },
      resolved: { publish: false, type: 'bytestream', httpUseTls: true, upstreamTls: true },
    },
    {
      name: 'rules by address and country are canonical, and have each entry once',
      requested: {
        trustedIps: [
          '192.0.2.7',
          '::ffff:192.0.2.7',
          '192.0.2.7/32',
          '::ffff:10.0.0.0/104',
          '2001:DB8:0::/32',
        ],
        geoip: ['fr', 'DE', 'FR'],
      },
      resolved: {
        publish: true,
        protocol: 'http',
        type: 'bytestream',
        httpVersion: 'http/1.1',
        trustedIps: ['192.0.2.7', '10.0.0.0/8', '2001:db8::/32'],
        geoip: ['FR', 'DE'],
      },
    },
    ...['h2c', 'h2'].map((httpVersion) => ({
      name: `a published tunnel may say that its upstream speaks ${httpVersion}`,
      requested: { httpVersion },
      resolved: { publish: true, protocol: 'http', type: 'bytestream', httpVersion },
    })),
    ...[{ upstreamTls: true }, { httpUseTls: true }, { upstreamTls: true, httpUseTls: true }].map(
      (requested) => ({
        name: `a published tunnel with ${Object.keys(requested)} has both spellings and no version, which ALPN tells`,
        requested,
        resolved: {
          publish: true,
          protocol: 'http',
          type: 'bytestream',
          upstreamTls: true,
          httpUseTls: true,
        },
      }),
    ),
    {
      name: 'a TLS tunnel is terminated unless it says otherwise, and has no HTTP version',
      requested: { protocol: 'tls', upstreamTls: true },
      resolved: {
        publish: true,
        protocol: 'tls',
        type: 'bytestream',
        tlsMode: 'terminated',
        upstreamTls: true,
        httpUseTls: true,
      },
    },
    {
      name: 'what is already so or is meaningless on one engine is echoed',
      requested: {
        tlsMode: 'terminated',
        tlsMinVersion: 'tls1.2',
        tlsAlpns: ['h2'],
        allowCrossRegionRouting: true,
        labels: { env: '' },
      },
      resolved: {
        publish: true,
        protocol: 'http',
        type: 'bytestream',
        httpVersion: 'http/1.1',
        tlsMode: 'terminated',
        tlsMinVersion: 'tls1.2',
        tlsAlpns: ['h2'],
        allowCrossRegionRouting: true,
        labels: { env: '' },
      },
    },
  ];
  for (const { name, requested, resolved } of cases)
    test(name, () => assert.deepEqual({ ...resolveProperties(requested) }, resolved));

  for (const publish of [true, false])
    test(`an explicit false asks for nothing (${publish ? 'published' : 'private'})`, () => {
      const none = {
        tokenAuth: false,
        rstreamAuth: false,
        challengeMode: false,
        mtlsAuth: false,
        upstreamTls: false,
        httpUseTls: false,
        datagramGuaranteedDelivery: false,
        allowCrossRegionRouting: false,
      };
      const resolved = resolveProperties({ publish, ...none });
      for (const [key, value] of Object.entries(none))
        assert.equal(resolved[key as keyof TunnelProperties], value);
    });

  test('the result is frozen through and through and shares nothing with the request', () => {
    const requested = { labels: { env: 'dev' }, tlsAlpns: ['h2'] };
    const resolved = resolveProperties(requested);
    requested.labels.env = 'changed';
    requested.tlsAlpns.push('changed');
    assert.deepEqual(resolved.labels, { env: 'dev' });
    assert.deepEqual(resolved.tlsAlpns, ['h2']);
    for (const value of [resolved, resolved.labels, resolved.tlsAlpns]) assert.ok(Object.isFrozen(value));
  });
});

describe('features that are not there', () => {
  const always: readonly TunnelProperties[] = [
    { rstreamAuth: true },
    { challengeMode: true },
    { protocol: 'webtty' },
    { protocol: 'quic' },
    { protocol: 'dtls' },
    { httpVersion: 'h3' },
    { httpVersion: 'h3', type: 'datagram', upstreamTls: true },
  ];
  const published: readonly TunnelProperties[] = [
    { type: 'datagram' },
    { mtlsCacertPem: '-----BEGIN CERTIFICATE-----' },
  ];
  for (const requested of [...always, ...always.map((p) => ({ ...p, ...PRIVATE })), ...published])
    test(`${JSON.stringify(requested)} is refused with 5000 and the name of the feature`, () => {
      const error = errorOf(requested);
      assert.equal(error.code, 'FEATURE_NOT_AVAILABLE');
      assert.equal(error.row.wireCode, 5000);
      assert.match(error.message, /\((?:\w+|\w+ \w+)\) is not available in this engine\.$/);
    });
});

describe('combinations and values that mean nothing', () => {
  const cases: readonly (readonly [TunnelProperties, RegExp])[] = [
    [{ ...PRIVATE, geoip: ['FR'] }, /private tunnel cannot be combined with geoip/],
    [{ ...PRIVATE, trustedIps: ['192.0.2.1'] }, /private.*trusted_ips/],
    [{ ...PRIVATE, tlsMode: 'terminated' }, /private.*tls_mode/],
    [{ ...PRIVATE, tlsMinVersion: 'tls1.2' }, /private.*tls_min_version/],
    [{ ...PRIVATE, tlsCiphers: ['x'] }, /private.*tls_ciphers/],
    [{ ...PRIVATE, mtlsAuth: true }, /private.*mtls_auth/],
    [{ ...PRIVATE, mtlsCacertPem: 'x' }, /private.*mtls_cacert_pem/],
    [{ ...PRIVATE, tokenAuth: true }, /private.*token_auth/],
    [{ ...PRIVATE, hostname: 'x' }, /private.*hostname/],
    [{ ...PRIVATE, host: 'x' }, /private.*hostname/],
    [{ ...PRIVATE, port: 443 }, /private.*port/],
    [{ ...PRIVATE, protocol: 'tcp' }, /tcp needs publish=true/],
    [{ protocol: 'tcp', type: 'datagram' }, /tcp needs .*bytestream/],
    [{ protocol: 'tcp', hostname: 'x' }, /tcp cannot be combined with hostname/],
    [{ protocol: 'tcp', tlsAlpns: ['h2'] }, /tcp.*tls_alpns/],
    [{ protocol: 'tcp', httpVersion: 'http/1.1' }, /tcp.*http_version/],
    [{ protocol: 'tcp', port: 0 }, /port must lie between 1 and 65535/],
    [{ protocol: 'tcp', port: 65_536 }, /port must lie between 1 and 65535/],
    [{ port: 443 }, /but tcp cannot be combined with port/],
    [{ protocol: 'tls', httpVersion: 'http/1.1' }, /tls cannot be combined with http_version/],
    [{ protocol: 'tls', tokenAuth: true }, /tls cannot be combined with token_auth/],
    [{ tlsMode: 'passthrough' }, /passthrough needs protocol tls/],
    [
      { protocol: 'tls', tlsMode: 'passthrough', tlsMinVersion: 'tls1.2' },
      /TLS passthrough cannot be combined with tls_min_version/,
    ],
    [{ protocol: 'tls', tlsMode: 'passthrough', upstreamTls: true }, /passthrough.*upstream_tls/],
    [{ protocol: 'tls', tlsMode: 'passthrough', tlsAlpns: ['h2'] }, /passthrough.*tls_alpns/],
    [{ protocol: 'tls', tlsMode: 'passthrough', tlsCiphers: ['x'] }, /passthrough.*tls_ciphers/],
    [{ protocol: 'tls', tlsMode: 'passthrough', mtlsAuth: true }, /passthrough.*mtls_auth/],
    [{ protocol: 'tls', tlsMode: 'passthrough', mtlsCacertPem: 'x' }, /passthrough.*mtls_cacert_pem/],
    [{ datagramGuaranteedDelivery: true }, /bytestream.*datagram_guaranteed_delivery/],
    [{ upstreamTls: true, httpVersion: 'http/1.1' }, /upstream_tls.*http_version/],
    [{ httpUseTls: true, httpVersion: 'h2c' }, /upstream_tls.*http_version/],
    [{ type: 'stream' }, /type must be one of bytestream, datagram/],
    [{ protocol: 'HTTP' }, /protocol must be one of http/],
    [{ httpVersion: '1.1' }, /http_version must be one of http\/1\.1/],
    [{ tlsMode: 'off' }, /tls_mode must be one of/],
    [{ tlsMinVersion: 'tls1.1' }, /tls_min_version must be one of/],
    [{ name: 'a\u001b[2Jb' }, /name contains a control character/],
    [{ tlsAlpns: [''] }, /tls_alpns has an empty entry/],
    [{ trustedIps: ['192.0.2.1', 'office'] }, /trusted_ips: office must be an IP address or a CIDR range/],
    [{ trustedIps: ['192.0.2.1/24'] }, /trusted_ips: 192\.0\.2\.1\/24 has bits set behind its prefix/],
    [{ trustedIps: ['192.0.2.0/33'] }, /trusted_ips: .* prefix length from 1 to 32/],
    [{ trustedIps: ['fe80::1%eth0'] }, /trusted_ips: fe80::1%eth0 must be an IP address/],
    [{ geoip: ['FR', 'DEU'] }, /geoip: DEU must be a country of two letters/],
    [{ geoip: ['\u00df'] }, /geoip: \u00df must be a country/],
    [{ labels: { '': 'x' } }, /label has an empty key/],
  ];
  for (const [requested, sentence] of cases)
    test(`${JSON.stringify(requested)} is refused with 2000 and the name of the property`, () => {
      const error = errorOf(requested);
      assert.equal(error.code, 'PROPERTIES_INVALID');
      assert.equal(error.row.wireCode, 2000);
      assert.match(error.message, sentence);
    });
});

describe('bounds', () => {
  const texts = (count: number, length: number) => new Array<string>(count).fill('x'.repeat(length));
  const labels = (count: number, keyLength: number, valueLength: number) =>
    Object.fromEntries(
      texts(count, valueLength).map((value, i) => [String(i).padStart(keyLength, 'k'), value]),
    );
  const cases: readonly { name: string; fits: TunnelProperties; exceeds: TunnelProperties }[] = [
    {
      name: 'tunnelNameCharsMax',
      fits: { name: 'x'.repeat(LIMITS.tunnelNameCharsMax) },
      exceeds: { name: 'x'.repeat(LIMITS.tunnelNameCharsMax + 1) },
    },
    {
      name: 'hostnameCharsMax',
      fits: { hostname: 'x'.repeat(LIMITS.hostnameCharsMax) },
      exceeds: { hostname: 'x'.repeat(LIMITS.hostnameCharsMax + 1) },
    },
    {
      name: 'listEntriesMax',
      fits: { tlsAlpns: texts(LIMITS.listEntriesMax, 2) },
      exceeds: { tlsAlpns: texts(LIMITS.listEntriesMax + 1, 2) },
    },
    {
      name: 'listEntryCharsMax',
      fits: { tlsAlpns: texts(1, LIMITS.listEntryCharsMax) },
      exceeds: { tlsAlpns: texts(1, LIMITS.listEntryCharsMax + 1) },
    },
    {
      name: 'labelsMax',
      fits: { labels: labels(LIMITS.labelsMax, 3, 3) },
      exceeds: { labels: labels(LIMITS.labelsMax + 1, 3, 3) },
    },
    {
      name: 'labelKeyCharsMax',
      fits: { labels: labels(1, LIMITS.labelKeyCharsMax, 1) },
      exceeds: { labels: labels(1, LIMITS.labelKeyCharsMax + 1, 1) },
    },
    {
      name: 'labelValueCharsMax',
      fits: { labels: labels(1, 1, LIMITS.labelValueCharsMax) },
      exceeds: { labels: labels(1, 1, LIMITS.labelValueCharsMax + 1) },
    },
    {
      name: 'propertiesBytesMax',
      fits: { labels: labels(30, 10, LIMITS.labelValueCharsMax) },
      exceeds: { labels: labels(32, 10, LIMITS.labelValueCharsMax) },
    },
  ];
  for (const { name, fits, exceeds } of cases)
    test(`${name} is reached and not passed`, () => {
      resolveProperties(fits);
      const error = errorOf(exceeds);
      assert.equal(error.code, 'PROPERTIES_INVALID');
      assert.ok(error.message.length < 200, 'the sentence does not repeat what was too long');
    });

  test('a value that is refused is not repeated in the sentence', () =>
    assert.ok(!errorOf({ protocol: 'x'.repeat(60_000) }).message.includes('xx')));
});

describe('the label rstream.proxy-protocol', () => {
  const LABEL = 'rstream.proxy-protocol';
  const withLabel = (version: string, rest: TunnelProperties) => ({ labels: { [LABEL]: version }, ...rest });
  const RAW: readonly TunnelProperties[] = [
    { protocol: 'tcp' },
    { protocol: 'tls' },
    { protocol: 'tls', tlsMode: 'passthrough' },
    { publish: false },
  ];
  const problemOf = (requested: TunnelProperties): string => {
    try {
      resolveProperties(requested);
      return '';
    } catch (error) {
      return String(error);
    }
  };

  for (const raw of RAW)
    for (const version of ['v1', 'v2'])
      test(`may be ${version} with ${JSON.stringify(raw)}`, () =>
        assert.doesNotMatch(problemOf(withLabel(version, raw)), /proxy-protocol/));

  for (const version of ['', 'v3', '1', 'V2'])
    test(`may not be ${version || 'empty'}`, () => {
      const { code, message } = errorOf(withLabel(version, { protocol: 'tcp' }));
      assert.equal(code, 'PROPERTIES_INVALID');
      assert.ok(message.includes(`the label ${LABEL} must be v1 or v2`), message);
    });

  const misplaced: readonly (readonly [TunnelProperties, RegExp])[] = [
    [{}, /is not for protocol http/],
    [{ protocol: 'http' }, /is not for protocol http/],
    [{ publish: false, protocol: 'http' }, /is not for protocol http/],
    [{ publish: false, type: 'datagram' }, /needs type bytestream/],
    [{ protocol: 'tls', type: 'datagram' }, /needs type bytestream/],
  ];
  for (const [requested, sentence] of misplaced)
    test(`is refused with ${JSON.stringify(requested)}`, () => {
      const { code, message } = errorOf(withLabel('v1', requested));
      assert.equal(code, 'PROPERTIES_INVALID');
      assert.ok(message.includes(LABEL), message);
      assert.match(message, sentence);
    });
});

describe('the label rstream.probe', () => {
  test('may be off, and nothing else', () => {
    resolveProperties({ labels: { 'rstream.probe': 'off' } });
    for (const value of ['', 'on', 'OFF'])
      assert.match(errorOf({ labels: { 'rstream.probe': value } }).message, /rstream\.probe must be off/);
  });
});

describe('the label rstream.probe-path', () => {
  const withPath = (path: string, rest: TunnelProperties = {}) => ({
    labels: { 'rstream.probe-path': path },
    ...rest,
  });

  for (const path of ['/', '/health', '/health?deep=1&all', '/%C3%A9'])
    test(`may be ${path}`, () => {
      resolveProperties(withPath(path));
      resolveProperties(withPath(path, { publish: false, protocol: 'http' }));
    });

  for (const path of ['', 'health', 'https://elsewhere/', '/a b', '/a\r\nX: y', '/#part', '/é'])
    test(`may not be ${JSON.stringify(path)}`, () => {
      const { code, message } = errorOf(withPath(path));
      assert.equal(code, 'PROPERTIES_INVALID');
      assert.match(message, /rstream\.probe-path must be a path/);
    });

  for (const protocol of ['tcp', 'tls'])
    test(`is not for protocol ${protocol}`, () =>
      assert.match(errorOf(withPath('/health', { protocol })).message, /is for protocol http alone/));
});
