/** What a tunnel shows at its host name: kinds, demands, and the lists that are refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TLS_SUITES, type TlsVersion } from '../../src/base/tls.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { resolveProperties } from '../../src/tunnel/properties.ts';
import { publishedFrom } from '../../src/tunnel/published.ts';

const published = (requested: TunnelProperties, versionMin: TlsVersion = 'TLSv1.2') =>
  publishedFrom(resolveProperties(requested), versionMin);

/** The demands with the names of the suites; all of them are `undefined`. */
const demandsOf = (requested: TunnelProperties, versionMin?: TlsVersion) => {
  const found = published(requested, versionMin);
  assert.ok(found && found.kind !== 'passthrough');
  const { demands } = found;
  return { versionMin: demands.versionMin, suites: demands.suites?.map(({ name }) => name) };
};

const TLS_1_3_NAMES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

describe('the kind', () => {
  const demands = { versionMin: 'TLSv1.2' };
  const cases: readonly (readonly [TunnelProperties, unknown])[] = [
    [{}, { kind: 'http', demands }],
    [{ tlsAlpns: ['ignored'] }, { kind: 'http', demands }],
    [{ protocol: 'tls' }, { kind: 'terminated', demands, alpnProtocols: [] }],
    [
      { protocol: 'tls', tlsMode: 'terminated', tlsAlpns: ['b', 'a'] },
      { kind: 'terminated', demands, alpnProtocols: ['b', 'a'] },
    ],
    [{ protocol: 'tls', tlsMode: 'passthrough' }, { kind: 'passthrough' }],
    [{ publish: false }, undefined],
    [{ publish: false, protocol: 'tls', tlsAlpns: ['\u00e9'] }, undefined],
  ];
  for (const [requested, expected] of cases)
    test(JSON.stringify(requested), () => assert.deepEqual(published(requested), expected));
});

describe('the minimum', () => {
  for (const protocol of ['http', 'tls']) {
    test(`of a tunnel (${protocol}) that asks for none is that of the engine`, () => {
      assert.equal(demandsOf({ protocol }).versionMin, 'TLSv1.2');
      assert.equal(demandsOf({ protocol }, 'TLSv1.3').versionMin, 'TLSv1.3');
    });

    test(`of a tunnel (${protocol}) that asks for one is its own`, () => {
      assert.equal(demandsOf({ protocol, tlsMinVersion: 'tls1.3' }).versionMin, 'TLSv1.3');
      assert.equal(demandsOf({ protocol, tlsMinVersion: 'tls1.2' }, 'TLSv1.3').versionMin, 'TLSv1.2');
    });
  }
});

describe('the suites', () => {
  test('may be called by either name, in any order, more than once', () => {
    const first = demandsOf({ tlsCiphers: ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256'] });
    const second = demandsOf({
      tlsCiphers: [
        'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
        'ECDHE-RSA-AES128-GCM-SHA256',
        'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
      ],
    });
    assert.deepEqual(first, second);
  });

  test('of TLS 1.2 leave those of TLS 1.3 as they are', () =>
    assert.deepEqual(demandsOf({ tlsCiphers: ['ECDHE-ECDSA-CHACHA20-POLY1305'] }), {
      versionMin: 'TLSv1.2',
      suites: [...TLS_1_3_NAMES, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
    }));

  test('of both versions choose among both', () =>
    assert.deepEqual(demandsOf({ tlsCiphers: ['ECDHE-RSA-AES256-GCM-SHA384', 'TLS_AES_256_GCM_SHA384'] }), {
      versionMin: 'TLSv1.2',
      suites: ['TLS_AES_256_GCM_SHA384', 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'],
    }));

  test('of TLS 1.3 alone shut TLS 1.2 out', () =>
    assert.deepEqual(demandsOf({ tlsCiphers: ['TLS_AES_256_GCM_SHA384'], tlsMinVersion: 'tls1.2' }), {
      versionMin: 'TLSv1.3',
      suites: ['TLS_AES_256_GCM_SHA384'],
    }));

  test('of TLS 1.2 beside a minimum of TLS 1.3 are of no account, if some of TLS 1.3 are named', () =>
    assert.deepEqual(
      demandsOf({
        tlsCiphers: ['ECDHE-RSA-AES256-GCM-SHA384', 'TLS_AES_256_GCM_SHA384'],
        tlsMinVersion: 'tls1.3',
      }),
      { versionMin: 'TLSv1.3', suites: ['TLS_AES_256_GCM_SHA384'] },
    ));

  test('that are all there are demand nothing', () => {
    const everything = TLS_SUITES.map(({ name }) => name);
    assert.deepEqual(demandsOf({ tlsCiphers: everything }), demandsOf({}));
    assert.deepEqual(demandsOf({ tlsCiphers: TLS_1_3_NAMES }), demandsOf({ tlsMinVersion: 'tls1.3' }));
  });
});

describe('refused with the name of the property', () => {
  const cases: readonly (readonly [TunnelProperties, RegExp, TlsVersion?])[] = [
    [{ tlsCiphers: ['AES128-SHA'] }, /tls_ciphers names AES128-SHA, which is not one of TLS_AES_128/],
    [{ tlsCiphers: ['ECDHE-RSA-AES128-SHA256'] }, /tls_ciphers names ECDHE-RSA-AES128-SHA256/],
    [{ tlsCiphers: ['HIGH'] }, /tls_ciphers names HIGH/],
    [{ tlsCiphers: ['TLS_AES_128_GCM_SHA256:AES128-SHA'] }, /tls_ciphers names TLS_AES_128_GCM_SHA256:AES/],
    [{ tlsCiphers: ['TLS_AES_128_CCM_SHA256'] }, /tls_ciphers names TLS_AES_128_CCM/],
    [
      { tlsCiphers: ['ECDHE-RSA-AES128-GCM-SHA256'], tlsMinVersion: 'tls1.3' },
      /tls_ciphers names TLS 1\.2 suites only/,
    ],
    [{ tlsCiphers: ['ECDHE-RSA-AES128-GCM-SHA256'] }, /tls_ciphers names TLS 1\.2 suites only/, 'TLSv1.3'],
    [{ protocol: 'tls', tlsAlpns: ['caf\u00e9'] }, /tls_alpns has an entry that is not printable ASCII/],
    [{ protocol: 'tls', tlsAlpns: ['two words'] }, /tls_alpns has an entry/],
  ];
  for (const [requested, message, versionMin] of cases)
    test(`${JSON.stringify(requested)}${versionMin ? ` below ${versionMin}` : ''}`, () =>
      assert.throws(() => published(requested, versionMin), { code: 'PROPERTIES_INVALID', message }));
});
