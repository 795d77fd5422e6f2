/**
 * Ranges of addresses against an oracle that knows nothing of bytes: numbers of 32 or 128 bits, cut off by shifting.
 *
 * Each run has another seed, which is printed; `SEED=<seed>` repeats one.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { addressFromBytes, bytesFromAddress, createAddressSet, readRange } from '../../src/base/ip.ts';
import { createRandom, type Random } from '../fuzz/random.ts';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 3_000;

const startRandom = (t: TestContext): Random => {
  t.diagnostic(`SEED=${SEED}`);
  return createRandom(SEED);
};

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

/** One of the notations of RFC 4291 2.2: leading zeros, either case, `::` for a run of zeros, the last 32 bits as IPv4. */
const notationOf = (random: Random, address: Numbered): string => {
  if (address.family === 4) return textOf(address);
  let groups = textOf(address).split(':');
  let tail = '';
  if (random.below(3) === 0) {
    tail = textOf({ family: 4, value: address.value & 0xffff_ffffn });
    groups = groups.slice(0, 6);
  }
  const runs = groups.flatMap((_, from) =>
    groups
      .map((_, to) => [from, to] as const)
      .filter(([, to]) => to >= from && isZero(groups.slice(from, to + 1))),
  );
  const written = groups.map((group) => {
    const padded = random.below(2) === 0 ? group : group.padStart(4, '0');
    return random.below(2) === 0 ? padded : padded.toUpperCase();
  });
  const all = tail ? [...written, tail] : written;
  if (runs.length === 0 || random.below(4) === 0) return all.join(':');
  const [from, to] = random.pick(runs);
  return `${all.slice(0, from).join(':')}::${all.slice(to + 1).join(':')}`;
};

const isZero = (groups: readonly string[]): boolean => groups.every((group) => group === '0');

/** With runs of zeros and ones, which random bits hardly ever have. */
const lumpyValue = (random: Random): bigint => {
  let value = 0n;
  for (let group = 0; group < 8; group += 1)
    value = (value << 16n) | BigInt(random.pick([0, 0, 0, 0xffff, 1, random.below(65_536)]));
  return value;
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

test('a set has an address exactly when its number lies in the range', (t) => {
  const random = startRandom(t);
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

test('a range is read exactly when no bit stands behind its prefix, and its canonical form means the same', (t) => {
  const random = startRandom(t);
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

test('an IPv4 range is the same when it is written mapped into IPv6', (t) => {
  const random = startRandom(t);
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

test('an address is the same in every notation, and is written in one', (t) => {
  const random = startRandom(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const value = lumpyValue(random);
    const [one, other] = [notationOf(random, { family: 6, value }), notationOf(random, { family: 6, value })];
    const bytes = bytesFromAddress(one);
    assert.ok(bytes, one);
    assert.equal(BigInt(`0x${Buffer.from(bytes).toString('hex')}`), value, one);
    assert.deepEqual(readRange(one), readRange(other), `${one} and ${other}`);
    const reading = readRange(one);
    const isMapped = value >> 32n === 0xffffn;
    const canonical = isMapped ? textOf({ family: 4, value: value & 0xffff_ffffn }) : addressFromBytes(bytes);
    assert.deepEqual(reading, { range: canonical, isEverything: false }, one);
    assert.ok(createAddressSet([one]).has(canonical), one);
  }
});

test('several ranges have what one of them has', (t) => {
  const random = startRandom(t);
  for (let round = 0; round < ROUNDS / 10; round += 1) {
    const samples = Array.from({ length: 1 + random.below(6) }, () => sampleOf(random));
    const set = createAddressSet(samples.map(({ text }) => text));
    for (const address of samples.flatMap(({ addresses }) => addresses)) {
      const expected = samples.some(
        ({ family, prefix, first }) =>
          address.family === family &&
          networkOf(address.value, family, prefix) === networkOf(first, family, prefix),
      );
      assert.equal(set.has(notationOf(random, address)), expected, textOf(address));
    }
  }
});
