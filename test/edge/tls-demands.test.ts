import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TLS_SUITES, type TlsVersion } from '../../src/base/tls.ts';
import { meetsTlsDemands } from '../../src/edge/tls-demands.ts';

const AES_128 = 'TLS_AES_128_GCM_SHA256';
const AES_256 = 'TLS_AES_256_GCM_SHA384';

const CASES: [
  title: string,
  versionMin: TlsVersion,
  names: string[] | undefined,
  facts: [tlsVersion: string, cipher: string],
  expected: boolean,
][] = [
  ['the minimum itself', 'TLSv1.2', undefined, ['TLSv1.2', 'any'], true],
  ['more than the minimum', 'TLSv1.2', undefined, ['TLSv1.3', AES_128], true],
  ['less than the minimum', 'TLSv1.3', undefined, ['TLSv1.2', 'any'], false],
  ['a version that is none', 'TLSv1.2', undefined, ['', AES_128], false],
  ['an old version', 'TLSv1.2', undefined, ['TLSv1.1', AES_128], false],
  ['one of the suites', 'TLSv1.2', [AES_128, AES_256], ['TLSv1.3', AES_256], true],
  ['another suite', 'TLSv1.2', [AES_256], ['TLSv1.3', AES_128], false],
  ['no suite', 'TLSv1.2', [AES_256], ['TLSv1.3', ''], false],
];

for (const [title, versionMin, names, [tlsVersion, cipher], expected] of CASES)
  test(`${title} ${expected ? 'meets' : 'does not meet'} the demands`, () => {
    const suites = names && TLS_SUITES.filter(({ name }) => names.includes(name));
    const demands = { versionMin, ...(suites && { suites }) };
    assert.equal(meetsTlsDemands(demands, { tlsVersion, cipher }), expected);
  });
