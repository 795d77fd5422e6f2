/** Ranges of addresses against an oracle that knows nothing of bytes: numbers of 32 or 128 bits, cut off by division. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesFromAddress, createAddressSet, readRange } from '../../src/base/ip.ts';
import { createRandom, type Random } from '../fuzz/random.ts';

const SEED = 0x5eed;
const ROUNDS = 3_000;

type Family = 4 | 6;
const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

interface Numbered {
  readonly family: Family;
  readonly value: bigint;
}

const valueBelow = (random: Random, bits: number): bigint => {
  let value = 0n;
  for (let i = 0; i < bits; i += 16) value = (value << 16n) | BigInt(random.below(65_536));
  return value;
};

const textOf = ({ family, value }: Numbered): string => {
  const step = family === 4 ? 8 : 16;
  const parts: string[] = [];
  for (let shift = bitsOf(family) - step; shift >= 0; shift -= step)
    parts.push(((value >> BigInt(shift)) & ((1n << BigInt(step)) - 1n)).toString(family === 4 ? 10 : 16));
  return parts.join(family === 4 ? '.' : ':');
};

const networkOf = (value: bigint, family: Family, prefix: number): bigint =>
  value >> BigInt(bitsOf(family) - prefix);

/** A range, and addresses in and around it, where slips would be. */
const sampleOf = (random: Random) => {
  const family = random.pick<Family>([4, 6]);
  const bits = bitsOf(family);
  const prefix = random.below(bits + 1);
  const hostBits = BigInt(bits - prefix);
  const first = (valueBelow(random, bits) >> hostBits) << hostBits;
  const last = first + (1n << hostBits) - 1n;
  const end = (1n << BigInt(bits)) - 1n;
  const inside = first + (valueBelow(random, bits) & ((1n << hostBits) - 1n));
  const values = [first, last, inside, valueBelow(random, bits)];
  if (first > 0n) values.push(first - 1n);
  if (last < end) values.push(last + 1n);
  const other: Family = family === 4 ? 6 : 4;
  const addresses = values.map((value): Numbered => ({ family, value }));
  return {
    family,
    prefix,
    first,
    text: `${textOf({ family, value: first })}/${prefix}`,
    addresses: [...addresses, { family: other, value: valueBelow(random, bitsOf(other)) }],
  };
};

test('a set has an address exactly when its number lies in the range', () => {
  const random = createRandom(SEED);
  for (let round = 0; round < ROUNDS; round += 1) {
    const { family, prefix, first, text, addresses } = sampleOf(random);
    const set = createAddressSet([text]);
    for (const address of addresses) {
      const expected =
        address.family === family &&
        networkOf(address.value, family, prefix) === networkOf(first, family, prefix);
      assert.equal(set.has(textOf(address)), expected, `${textOf(address)} in ${text}`);
    }
  }
});

test('a range is read exactly when no bit stands behind its prefix, and its canonical form means the same', () => {
  const random = createRandom(SEED);
  for (let round = 0; round < ROUNDS; round += 1) {
    const { family, prefix, first, text, addresses } = sampleOf(random);
    const reading = readRange(text);
    assert.ok('range' in reading, text);
    assert.equal(reading.isEverything, prefix === 0, text);
    assert.deepEqual(readRange(reading.range), reading, 'the canonical form is its own');
    const [sets, written] = [createAddressSet([text]), createAddressSet([reading.range])];
    for (const address of addresses) assert.equal(written.has(textOf(address)), sets.has(textOf(address)));

    if (prefix === bitsOf(family)) continue;
    const slipped = first + 1n + (valueBelow(random, 128) % (1n << BigInt(bitsOf(family) - prefix)));
    const slip = `${textOf({ family, value: slipped % (1n << BigInt(bitsOf(family))) })}/${prefix}`;
    const hasHostBits = slipped % (1n << BigInt(bitsOf(family) - prefix)) !== 0n;
    assert.equal('problem' in readRange(slip), hasHostBits, slip);
  }
});

test('an IPv4 range is the same when it is written mapped into IPv6', () => {
  const random = createRandom(SEED);
  for (let round = 0; round < ROUNDS; round += 1) {
    const sample = sampleOf(random);
    if (sample.family !== 4) continue;
    const [address = '', prefix] = sample.text.split('/');
    const bytes = bytesFromAddress(address) as Uint8Array;
    const hex = Buffer.from(bytes).toString('hex');
    for (const mapped of [`::ffff:${address}`, `0:0:0:0:0:FFFF:${hex.slice(0, 4)}:${hex.slice(4)}`])
      assert.deepEqual(readRange(`${mapped}/${96 + Number(prefix)}`), readRange(sample.text));
  }
});
