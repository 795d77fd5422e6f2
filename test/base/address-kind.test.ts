import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AddressKind, addressKindOf } from '../../src/base/address-kind.ts';

const KINDS: Readonly<Record<AddressKind, readonly string[]>> = {
  public: ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'],
  loopback: ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1'],
  private: [
    '10.0.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.1.1',
    '198.18.0.1',
    '192.0.2.1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fec0::1',
    '::127.0.0.1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '100::1',
  ],
  forbidden: [
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '100.100.100.200',
    '168.63.129.16',
    'fd00:ec2::254',
    '0.0.0.0',
    '0.1.2.3',
    '::',
    '224.0.0.1',
    '255.255.255.255',
    'ff02::1',
    'fe80::1%eth0',
    'localhost',
    '',
  ],
};

for (const [kind, addresses] of Object.entries(KINDS))
  for (const address of addresses)
    test(`${address || 'nothing'} is ${kind}`, () => assert.equal(addressKindOf(address), kind));
