/** Headers of the PROXY protocol: what is read from them, what is refused, and what is written. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import { addressFromBytes, bytesFromAddress } from '../../src/base/ip.ts';
import { LIMITS } from '../../src/base/limits.ts';
import {
  createProxyHeaderParser,
  type Endpoint,
  type ProxyHeader,
  proxyHeaderFor,
} from '../../src/base/proxy-protocol.ts';
import { mutate, split } from '../fuzz/mutate.ts';
import { createRandom } from '../fuzz/random.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const v2 = (text: string) => hex(SIGNATURE + text);
const ends = (source: string, sourcePort: number, destination: string, destinationPort: number) => ({
  source: { address: source, port: sourcePort },
  destination: { address: destination, port: destinationPort },
});

const V4_BLOCK = 'c0000207 cb007101 dc04 01bb';
const V4 = ends('192.0.2.7', 56_324, '203.0.113.1', 443);
const V6_BLOCK = '20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 01bb';
const V6 = ends('2001:db8::7', 56_324, '2001:db8::1', 443);

const VALID: readonly (readonly [name: string, bytes: Buffer, header: ProxyHeader])[] = [
  ['v1, IPv4', Buffer.from('PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n'), V4],
  ['v1, IPv6', Buffer.from('PROXY TCP6 2001:DB8::7 2001:db8:0::1 56324 443\r\n'), V6],
  [
    'v1, IPv4 mapped into IPv6',
    Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::ffff:cb00:7101 56324 443\r\n'),
    V4,
  ],
  ['v1, the smallest', Buffer.from('PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n'), ends('0.0.0.0', 0, '0.0.0.0', 0)],
  [
    'v1, the largest addresses',
    Buffer.from(`PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`),
    ends(`${'ffff:'.repeat(7)}ffff`, 65_535, `${'ffff:'.repeat(7)}ffff`, 65_535),
  ],
  ['v1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), {}],
  ['v1, unknown with anything behind it', Buffer.from('PROXY UNKNOWN what\rever 1\0\r\n'), {}],
  ['v1, unknown and as long as can be', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`), {}],
  ['v2, IPv4', v2(`2111000c${V4_BLOCK}`), V4],
  ['v2, IPv6', v2(`21210024${V6_BLOCK}`), V6],
  [
    'v2, IPv4 mapped into IPv6',
    v2('21210024 00000000000000000000ffffc0000207 00000000000000000000ffffcb007101 dc04 01bb'),
    V4,
  ],
  ['v2, with notes', v2(`21110013${V4_BLOCK} 04000401020304`), V4],
  ['v2, with notes that are nonsense', v2(`2111000e${V4_BLOCK} ffff`), V4],
  ['v2, local', v2('20000000'), {}],
  ['v2, local with addresses', v2(`2011000c${V4_BLOCK}`), {}],
  ['v2, local of a family that does not exist', v2('20ff0000'), {}],
  ['v2, unspecified', v2('21000000'), {}],
  ['v2, unspecified with bytes', v2('21000003 010203'), {}],
  ['v2, UDP over IPv4', v2(`2112000c${V4_BLOCK}`), {}],
  ['v2, a Unix socket', v2(`213100d8${'2f'.repeat(216)}`), {}],
  [
    'v2, as long as can be',
    v2(
      `21110${(LIMITS.proxyHeaderBytesMax - 16).toString(16)}${V4_BLOCK}${'00'.repeat(LIMITS.proxyHeaderBytesMax - 28)}`,
    ),
    V4,
  ],
];

describe('a valid header is read', () => {
  const BEHIND = Buffer.from('\x16\x03\x01 what follows\r\n');
  for (const [name, bytes, header] of VALID) {
    test(`${name}, in one piece with what follows`, () => {
      const parser = createProxyHeaderParser();
      assert.deepEqual(parser.push(Buffer.concat([bytes, BEHIND])), header);
      assert.deepEqual(parser.rest, BEHIND);
    });

    test(`${name}, byte by byte and no byte too soon`, () => {
      const parser = createProxyHeaderParser();
      for (const byte of bytes.subarray(0, -1)) assert.equal(parser.push(Buffer.of(byte)), undefined);
      assert.deepEqual(parser.push(bytes.subarray(-1)), header);
      assert.equal(parser.rest.length, 0);
    });

    test(`${name}, cut in two anywhere`, () => {
      for (let at = 0; at < Math.min(bytes.length, 300); at++) {
        const parser = createProxyHeaderParser();
        assert.equal(parser.push(bytes.subarray(0, at)), undefined);
        assert.deepEqual(parser.push(Buffer.concat([bytes.subarray(at), BEHIND])), header);
        assert.deepEqual(parser.rest, BEHIND);
      }
    });
  }
});

const problemOf = (bytes: Buffer): string => {
  try {
    createProxyHeaderParser().push(bytes);
  } catch (error) {
    assert.ok(error instanceof EngineError && error.code === 'PROXY_HEADER_MALFORMED', String(error));
    return String(error.details.problem);
  }
  throw new assert.AssertionError({ message: 'was not refused' });
};

describe('a malformed header is refused', () => {
  const line = (text: string) => Buffer.from(`PROXY ${text}\r\n`, 'latin1');
  const UNREADABLE = 'its line cannot be read';
  const FAMILY = 'an address is not of its family';
  const cases: readonly (readonly [name: string, bytes: Buffer, problem: string])[] = [
    ['a ClientHello', hex('160301'), 'it begins with something else'],
    ['a request', Buffer.from('GET / HTTP/1.1\r\n'), 'it begins with something else'],
    ['lower case', Buffer.from('proxy TCP4'), 'it begins with something else'],
    ['two spaces', line(' TCP4 192.0.2.7 192.0.2.1 1 2'), UNREADABLE],
    ['another protocol', line('TCP5 192.0.2.7 192.0.2.1 1 2'), UNREADABLE],
    ['UNKNOWN and no space', line('UNKNOWNS'), UNREADABLE],
    [
      'no line end within the longest line',
      Buffer.from(`PROXY UNKNOWN ${'x'.repeat(93)}`),
      'its line is longer than 107 bytes',
    ],
    [
      'a line end one byte too late',
      Buffer.from(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`),
      'its line is longer than 107 bytes',
    ],
    ['a bare line feed', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n'), UNREADABLE],
    ['a bare line feed behind UNKNOWN', Buffer.from('PROXY UNKNOWN\n'), UNREADABLE],
    ['a carriage return within', line('TCP4 192.0.2.7\r192.0.2.1 1 2'), UNREADABLE],
    ['a port missing', line('TCP4 192.0.2.7 192.0.2.1 1'), UNREADABLE],
    ['something more', line('TCP4 192.0.2.7 192.0.2.1 1 2 3'), UNREADABLE],
    ['a space at the end', line('TCP4 192.0.2.7 192.0.2.1 1 2 '), UNREADABLE],
    ['a port with a leading zero', line('TCP4 192.0.2.7 192.0.2.1 01 2'), UNREADABLE],
    ['a port with a sign', line('TCP4 192.0.2.7 192.0.2.1 +1 2'), UNREADABLE],
    ['a port of too many digits', line('TCP4 192.0.2.7 192.0.2.1 100000 2'), UNREADABLE],
    ['a port that is too large', line('TCP4 192.0.2.7 192.0.2.1 1 65536'), 'a port is larger than 65535'],
    ['a part that is too large', line('TCP4 192.0.2.256 192.0.2.1 1 2'), FAMILY],
    ['a leading zero', line('TCP4 192.0.2.07 192.0.2.1 1 2'), FAMILY],
    ['three parts', line('TCP4 192.0.2 192.0.2.1 1 2'), FAMILY],
    ['IPv6 as TCP4', line('TCP4 2001:db8::7 192.0.2.1 1 2'), FAMILY],
    ['IPv4 as TCP6', line('TCP6 2001:db8::7 192.0.2.1 1 2'), FAMILY],
    ['nine groups', line('TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2'), FAMILY],
    ['two double colons', line('TCP6 1::2::3 ::1 1 2'), FAMILY],
    ['a zone', line('TCP6 fe80::1%1 ::1 1 2'), UNREADABLE],
    ['a name', line('TCP4 localhost 192.0.2.1 1 2'), UNREADABLE],
    ['version 1 of the binary form', v2('1111000c'), 'its version is 1'],
    ['version 3 of the binary form', v2('3111000c'), 'its version is 3'],
    ['a command that does not exist', v2('22110000'), 'its command is 2'],
    ['a family that does not exist', v2('21410000'), 'its address family or transport does not exist'],
    ['a transport that does not exist', v2('21130000'), 'its address family or transport does not exist'],
    ['IPv4 without room for its ports', v2('2111000b'), 'it is too short for its addresses'],
    ['IPv6 with the length of IPv4', v2('2121000c'), 'it is too short for its addresses'],
    ['more than the limit', v2('21110ff1'), 'it is longer than 4096 bytes'],
    ['more than the limit for nobody', v2('2000ffff'), 'it is longer than 4096 bytes'],
  ];
  for (const [name, bytes, problem] of cases) test(name, () => assert.equal(problemOf(bytes), problem));

  test('at the first byte that cannot be right', () => {
    for (const [, bytes] of VALID.filter((_, index) => index === 0 || index === 8))
      for (let at = 0; at < 6; at++) {
        const wrong = Buffer.from(bytes.subarray(0, at + 1));
        wrong[at] = (wrong[at] ?? 0) ^ 0x80;
        assert.equal(problemOf(wrong), 'it begins with something else');
      }
  });
});

test('whatever comes, it is a header with canonical addresses, a refusal, or the wait for some more bytes', () => {
  const seed = Date.now() >>> 0;
  const random = createRandom(seed);
  const corpus = VALID.map(([, bytes]) => bytes.toString('latin1', 0, 300));
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(mutate(corpus, random), 'latin1');
    const parser = createProxyHeaderParser();
    const told = `seed ${seed}, round ${round}: ${bytes.toString('hex')}`;
    try {
      for (const piece of split(bytes, random)) {
        const header = parser.push(piece);
        if (!header) continue;
        for (const { address, port } of [header.source, header.destination].filter(
          (end) => end !== undefined,
        )) {
          assert.equal(address, addressFromBytes(bytesFromAddress(address) ?? new Uint8Array()), told);
          assert.ok(port >= 0 && port <= 65_535, told);
        }
        break;
      }
    } catch (error) {
      const isRefusal = error instanceof EngineError && error.code === 'PROXY_HEADER_MALFORMED';
      assert.ok(isRefusal, `${told}: ${error}`);
    }
  }
});

describe('a header that is written', () => {
  const END: Readonly<Record<string, Endpoint>> = {
    v4: { address: '192.0.2.7', port: 56_324 },
    other4: { address: '203.0.113.1', port: 443 },
    v6: { address: '2001:db8::7', port: 56_324 },
    other6: { address: '2001:db8::1', port: 443 },
    none: { address: '', port: 0 },
  };
  const cases = [
    ['v4', 'other4', 'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n', `2111000c${V4_BLOCK}`],
    ['v6', 'other6', 'PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n', `21210024${V6_BLOCK}`],
    [
      'v4',
      'other6',
      'PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 56324 443\r\n',
      '21210024 00000000000000000000ffffc0000207 20010db8000000000000000000000001 dc04 01bb',
    ],
    [
      'v6',
      'other4',
      'PROXY TCP6 2001:db8::7 ::ffff:203.0.113.1 56324 443\r\n',
      '21210024 20010db8000000000000000000000007 00000000000000000000ffffcb007101 dc04 01bb',
    ],
    ['none', 'other4', 'PROXY UNKNOWN\r\n', '20000000'],
    ['v4', 'none', 'PROXY UNKNOWN\r\n', '20000000'],
  ] as const;
  for (const [from, to, text, block] of cases)
    test(`from ${from} to ${to} is right to the byte, and reads back as it was`, () => {
      const source = END[from] as Endpoint;
      const destination = END[to] as Endpoint;
      const line = proxyHeaderFor('v1', source, destination);
      const binary = proxyHeaderFor('v2', source, destination);
      assert.equal(line.toString('latin1'), text);
      assert.deepEqual(binary, v2(block));
      const expected = text.includes('UNKNOWN') ? {} : { source, destination };
      for (const bytes of [line, binary]) assert.deepEqual(createProxyHeaderParser().push(bytes), expected);
    });
});
