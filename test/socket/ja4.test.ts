/** JA4 against fingerprints that others have published with the lists they come from, and against captured hellos. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClientHello, createClientHelloParser } from '../../src/socket/client-hello.ts';
import { ja4From } from '../../src/socket/ja4.ts';
import {
  alpnExtension,
  extension,
  groupsExtension,
  helloFrom,
  numbers,
  readHello,
  serverNameExtension,
  signaturesExtension,
  versionsExtension,
} from '../support/client-hello.ts';

const parsed = (bytes: Buffer): ClientHello => {
  const hello = createClientHelloParser().push(bytes);
  assert.ok(hello);
  return hello;
};

const numbersIn = (list: string): number[] => list.split(',').map((text) => Number.parseInt(text, 16));

const TYPE = { serverName: 0, signatures: 13, alpn: 16, versions: 43 };

/**
 * A hello with these lists, sent in another order, with GREASE among all of them.
 * @param raw the form that publishes the lists: `a_ciphers_extensions_signatures`
 */
const helloFromRaw = (raw: string, alpn: string): Buffer => {
  const [, ciphers = '', extensions = '', signatures = ''] = raw.split('_');
  const contents: Readonly<Record<number, Buffer>> = {
    [TYPE.serverName]: serverNameExtension('edge.example.test'),
    [TYPE.alpn]: alpnExtension(alpn, 'http/1.1'),
    [TYPE.versions]: versionsExtension(0x4a4a, 0x0304, 0x0303),
    [TYPE.signatures]: signaturesExtension(0x5a5a, ...numbersIn(signatures)),
    10: groupsExtension(0x6a6a, 0x001d),
  };
  const types = [...numbersIn(extensions), TYPE.serverName, TYPE.alpn].reverse();
  return helloFrom({
    ciphers: numbers(0x1a1a, ...numbersIn(ciphers).reverse()),
    extensions: [
      extension(0x2a2a, Buffer.alloc(0)),
      ...types.map((type) => contents[type] ?? extension(type, Buffer.alloc(0))),
      extension(0x3a3a, Buffer.from([0])),
    ],
  });
};

describe('published fingerprints', () => {
  const CHROME =
    't13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_' +
    '0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_' +
    '0403,0804,0401,0503,0805,0501,0806,0601';
  test('of Chrome, from the description of JA4', () =>
    assert.equal(ja4From(parsed(helloFromRaw(CHROME, 'h2'))), 't13d1516h2_8daaf6152771_e5627efa2ab1'));

  const TOOL =
    't13d1011h2_00ff,1301,1302,1303,c02b,c02c,c02f,c030,cca8,cca9_' +
    '0005,000a,000b,000d,0017,0023,002b,002d,0033_0503,0403,0807,0806,0805,0804,0601,0501,0401';
  test('of a client that sends signature algorithms in an order of its own', () =>
    assert.equal(ja4From(parsed(helloFromRaw(TOOL, 'h2'))), 't13d1011h2_61a7ad8aa9b6_3fcd1a44f3e3'));
});

describe('captured hellos', () => {
  // The part in clear can be counted in the capture.
  const CASES: [name: string, overview: string][] = [
    ['node20-http', 't13d'],
    ['node20-agent-by-address', 't13i'],
    ['node20-tls12', 't12d'],
    ['go-agent', 't13d'],
  ];
  for (const [name, overview] of CASES)
    test(`${name} is ${overview}`, () => {
      const hello = parsed(readHello(name));
      const count = (list: readonly number[]) => String(list.length).padStart(2, '0');
      const [alpn = ''] = hello.alpnProtocols;
      const ends = alpn === '' ? '00' : `${alpn[0]}${alpn.at(-1)}`;
      assert.ok(
        ja4From(hello).startsWith(`${overview}${count(hello.ciphers)}${count(hello.extensions)}${ends}_`),
        ja4From(hello),
      );
    });
});

describe('hellos at the edges of the form', () => {
  test('without extensions', () =>
    assert.match(ja4From(parsed(helloFrom({ extensions: null }))), /^t12i010000_[0-9a-f]{12}_0{12}$/));

  test('with no cipher but GREASE', () =>
    assert.match(ja4From(parsed(helloFrom({ ciphers: numbers(0x0a0a) }))), /^t12i000000_0{12}_0{12}$/));

  test('with more than 99 ciphers', () => {
    const ciphers = numbers(...Array.from({ length: 120 }, (_, index) => 0xc000 + index));
    assert.match(ja4From(parsed(helloFrom({ ciphers }))), /^t12i990000_/);
  });

  test('of old versions, and of one that nobody knows', () => {
    for (const [version, code] of [
      [0x0302, '11'],
      [0x0301, '10'],
      [0x0300, 's3'],
      [0x0299, '00'],
    ] as const)
      assert.ok(ja4From(parsed(helloFrom({ legacyVersion: version }))).startsWith(`t${code}i`), code);
  });

  const PROTOCOLS: [name: string, code: string][] = [
    ['h2', 'h2'],
    ['http/1.1', 'h1'],
    ['x', 'xx'],
    ['\xab', 'ab'],
    ['\xab\xcd', 'ad'],
    ['0\xab', '3b'],
    ['a-', '6d'],
  ];
  for (const [name, code] of PROTOCOLS)
    test(`with the protocol ${JSON.stringify(name)}: ${code}`, () => {
      const hello = parsed(helloFrom({ extensions: [alpnExtension(name)] }));
      assert.equal(ja4From(hello).split('_')[0], `t12i0101${code}`);
    });
});
