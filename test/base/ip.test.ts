import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  addressFromBytes,
  addressWithPort,
  bytesFromAddress,
  canonicalAddress,
  createAddressSet,
  isLoopbackAddress,
  readRange,
  sourceOf,
  splitListenAddress,
} from '../../src/base/ip.ts';

describe('the canonical form of an address', () => {
  const FORMS = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:7f00:1', '::ffff:7f00:1'],
    ['', ''],
    [undefined, ''],
  ] as const;
  for (const [address, canonical] of FORMS)
    test(`of ${address} is ${canonical || 'empty'}`, () =>
      assert.equal(canonicalAddress(address), canonical));
});

test('an IPv6 address has brackets before its port', () => {
  assert.equal(addressWithPort('192.0.2.1', 443), '192.0.2.1:443');
  assert.equal(addressWithPort('2001:db8::1', 443), '[2001:db8::1]:443');
});

describe('the wire bytes', () => {
  const hexOf = (address: string) => {
    const bytes = bytesFromAddress(address);
    return bytes && Buffer.from(bytes).toString('hex');
  };
  const BYTES = [
    ['127.0.0.1', '7f000001'],
    ['192.0.2.10', 'c000020a'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['2001:db8::', `20010db8${'0'.repeat(24)}`],
    ['2001:db8:1:2:3:4:5:6', '20010db8000100020003000400050006'],
    ['2001:DB8::ff:0:1', '20010db800000000000000ff00000001'],
    ['64:ff9b::192.0.2.1', '0064ff9b0000000000000000c0000201'],
  ] as const;
  for (const [address, hex] of BYTES) test(`of ${address}`, () => assert.equal(hexOf(address), hex));

  for (const text of ['', 'localhost', '192.0.2', '192.0.2.256', '::g', '2001:db8::1/64', 'fe80::1%eth0'])
    test(`of ${text || 'nothing'} do not exist`, () => assert.equal(hexOf(text), undefined));
});

describe('a range', () => {
  const READ = [
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7/32', '192.0.2.7'],
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.0.0.128/25', '10.0.0.128/25'],
    ['128.0.0.0/1', '128.0.0.0/1'],
    ['2001:DB8::', '2001:db8::'],
    ['2001:0db8:0:0::/32', '2001:db8::/32'],
    ['::1/128', '::1'],
    ['fe80::/10', 'fe80::/10'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['::FFFF:10.0.0.0/104', '10.0.0.0/8'],
    ['::fffe:0:0/95', '::fffe:0:0/95'],
  ] as const;
  for (const [text, range] of READ)
    test(`${text} is ${range}`, () => assert.deepEqual(readRange(text), { range, isEverything: false }));

  for (const [text, range] of [
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
    ['::ffff:0.0.0.0/96', '0.0.0.0/0'],
  ])
    test(`${text} is everything`, () =>
      assert.deepEqual(readRange(text as string), { range, isEverything: true }));

  const PROBLEMS: [text: string, problem: RegExp][] = [
    ['proxy.example.com', /must be an IP address/],
    ['', /must be an IP address/],
    ['10.0.0/8', /must be an IP address/],
    ['010.0.0.0/8', /must be an IP address/],
    ['10.0.0.0/8/8', /must be an IP address/],
    [' 10.0.0.0/8', /must be an IP address/],
    ['fe80::1%eth0', /must be an IP address/],
    ['10.0.0.0/33', /from 1 to 32/],
    ['10.0.0.0/', /from 1 to 32/],
    ['10.0.0.0/08', /from 1 to 32/],
    ['10.0.0.0/+8', /from 1 to 32/],
    ['10.0.0.0/255.0.0.0', /from 1 to 32/],
    ['2001:db8::/129', /from 1 to 128/],
    ['10.0.0.1/8', /bits set/],
    ['10.0.0.128/24', /bits set/],
    ['0.0.0.1/0', /bits set/],
    ['2001:db8::1/32', /bits set/],
    ['::ffff:10.0.0.1/104', /bits set/],
    ['::ffff:0:0/95', /bits set/],
  ];
  for (const [text, problem] of PROBLEMS)
    test(`${text || '(nothing)'} is none`, () => {
      const reading = readRange(text);
      assert.ok('problem' in reading);
      assert.match(reading.problem, problem);
    });
});

describe('a set of addresses', () => {
  const set = createAddressSet([
    '192.0.2.7',
    '10.0.0.0/8',
    '2001:db8::/32',
    '::1',
    '::ffff:198.51.100.0/120',
  ]);
  for (const address of ['192.0.2.7', '10.255.0.1', '2001:db8:ffff::1', '::1', '198.51.100.9'])
    test(`has ${address}`, () => assert.ok(set.has(address)));
  for (const address of ['192.0.2.8', '11.0.0.1', '2001:db9::1', '::2', '', 'localhost', '2001:db8::1%eth0'])
    test(`does not have ${address || 'what is no address'}`, () => assert.ok(!set.has(address)));

  test('that is empty has nothing', () => assert.ok(!createAddressSet([]).has('127.0.0.1')));

  test('keeps the two families apart', () => {
    assert.ok(!createAddressSet(['::/1']).has('192.0.2.1'));
    assert.ok(!createAddressSet(['0.0.0.0/0']).has('::192.0.2.1'));
    assert.ok(!createAddressSet(['::/0']).has('192.0.2.1'));
  });

  test('refuses to be made of what is no range', () => {
    assert.throws(() => createAddressSet(['10.0.0.1/8']), TypeError);
  });
});

describe('a listen address', () => {
  const SPLIT = [
    ['127.0.0.1:8443', { host: '127.0.0.1', port: 8443 }],
    ['[::]:443', { host: '::', port: 443 }],
    [':443', { host: '', port: 443 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['a:65535', { host: 'a', port: 65_535 }],
    ['a:65536', undefined],
    ['::1:443', undefined],
    ['[::1]', undefined],
    ['443', undefined],
    ['a:', undefined],
    ['a:-1', undefined],
    ['', undefined],
  ] as const;
  for (const [text, address] of SPLIT)
    test(`${text || '(nothing)'} ${address ? 'splits' : 'is none'}`, () =>
      assert.deepEqual(splitListenAddress(text), address));
});

describe('the text of wire bytes', () => {
  const ADDRESSES = [
    ['192.0.2.1', '192.0.2.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['::fffe:192.0.2.1', '::fffe:c000:201'],
  ] as const;
  for (const [address, text] of ADDRESSES)
    test(`of ${address} is ${text}`, () =>
      assert.equal(addressFromBytes(bytesFromAddress(address) ?? new Uint8Array()), text));
});

test('the source of an address is itself, or the /64 of an IPv6 one', () => {
  assert.equal(sourceOf('192.0.2.1'), '192.0.2.1');
  assert.equal(sourceOf(''), '');
  assert.equal(sourceOf('2001:db8::1'), sourceOf('2001:db8:0:0:ffff::2'));
  assert.notEqual(sourceOf('2001:db8::1'), sourceOf('2001:db8:0:1::1'));
});

test('loopback is what only this machine can have', () => {
  for (const address of ['127.0.0.1', '127.255.0.9', '::1']) assert.ok(isLoopbackAddress(address), address);
  for (const address of ['128.0.0.1', '::2', '7f00::1', '', '127.evil.test'])
    assert.ok(!isLoopbackAddress(address), address);
});
