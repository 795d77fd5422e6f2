/**
 * Writes MaxMind files as small as tests need them, by the format's public specification (MaxMind DB 2.0): a search tree over bits of
 * addresses, 16 zero bytes, the data, and the metadata behind their marker.
 */
import { bytesFromAddress } from '../../src/base/ip.ts';

type Value = string | number | bigint | readonly Value[] | { readonly [key: string]: Value };

export interface MmdbOptions {
  readonly databaseType?: string;
  /** 6 by default: IPv4 addresses are then the lowest of the tree. */
  readonly ipVersion?: 4 | 6;
}

const TYPE = { text: 2, double: 3, uint16: 5, uint32: 6, map: 7, uint64: 9, array: 11 } as const;

/** Type and size of what follows; no value of a test is longer than 284 bytes. */
const control = (type: number, size: number): Buffer => {
  const [sizeBits, more] = size < 29 ? [size, []] : [29, [size - 29]];
  return Buffer.from(type < 8 ? [(type << 5) | sizeBits, ...more] : [sizeBits, type - 7, ...more]);
};

const numberOf = (type: number, value: number | bigint, byteCount: number): Buffer => {
  const hex = value.toString(16).padStart(byteCount * 2, '0');
  return Buffer.concat([control(type, byteCount), Buffer.from(hex, 'hex')]);
};

const encode = (value: Value): Buffer => {
  if (typeof value === 'string')
    return Buffer.concat([control(TYPE.text, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === 'bigint') return numberOf(TYPE.uint64, value, 8);
  if (typeof value === 'number') return numberOf(TYPE.uint32, value, 4);
  if (Array.isArray(value)) return Buffer.concat([control(TYPE.array, value.length), ...value.map(encode)]);
  const entries = Object.entries(value);
  return Buffer.concat([
    control(TYPE.map, entries.length),
    ...entries.flat().map((each) => encode(each as Value)),
  ]);
};

/** A node: what its 0 and 1 bits lead to, another node or the offset of a record. */
type Node = [Node | number | undefined, Node | number | undefined];

const bitsOf = (range: string, ipVersion: 4 | 6): number[] => {
  const [address = '', prefix] = range.split('/');
  const own = bytesFromAddress(address) as Uint8Array;
  const padding = ipVersion === 6 && own.length === 4 ? 12 : 0;
  const bits = [...new Uint8Array(padding), ...own].flatMap((byte) =>
    Array.from({ length: 8 }, (_, index) => (byte >> (7 - index)) & 1),
  );
  return bits.slice(0, padding * 8 + Number(prefix ?? own.length * 8));
};

/**
 * @param records by CIDR range; no range may lie in another
 */
export const mmdbFrom = (
  records: Readonly<Record<string, Value>>,
  { databaseType = 'GeoLite2-Country', ipVersion = 6 }: MmdbOptions = {},
): Buffer => {
  const root: Node = [undefined, undefined];
  const nodes: Node[] = [root];
  const data: Buffer[] = [];
  let dataLength = 0;
  for (const [range, record] of Object.entries(records)) {
    const bits = bitsOf(range, ipVersion);
    let node = root;
    for (const bit of bits.slice(0, -1)) {
      const next = Array.isArray(node[bit]) ? node[bit] : ([undefined, undefined] as Node);
      if (node[bit] !== next) nodes.push(next);
      node[bit] = next;
      node = next;
    }
    node[bits.at(-1) as 0 | 1] = dataLength;
    const bytes = encode(record);
    data.push(bytes);
    dataLength += bytes.length;
  }

  const tree = Buffer.alloc(nodes.length * 8);
  const pointerOf = (side: Node[number]): number => {
    if (side === undefined) return nodes.length;
    return typeof side === 'number' ? nodes.length + 16 + side : nodes.indexOf(side);
  };
  for (const [index, [left, right]] of nodes.entries()) {
    tree.writeUInt32BE(pointerOf(left), index * 8);
    tree.writeUInt32BE(pointerOf(right), index * 8 + 4);
  }
  const metadata = {
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_800_000_000n,
    database_type: databaseType,
    description: { en: 'made by a test' },
    ip_version: ipVersion,
    languages: ['en'],
    node_count: nodes.length,
    record_size: 32,
  };
  const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
  return Buffer.concat([tree, Buffer.alloc(16), ...data, marker, encode(metadata)]);
};

/** The record of an address in a country, as GeoLite2-Country has it. */
export const inCountry = (code: string): Value => ({
  country: { geoname_id: 1, iso_code: code, names: { en: `The country ${code}` } },
  registered_country: { geoname_id: 2, iso_code: 'ZZ' },
});
