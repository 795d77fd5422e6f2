/**
 * IP addresses in one canonical form.
 *
 * Invariant: an IPv4 address that arrives mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address everywhere, and zone ids are gone,
 * so that one peer has one name in rules, logs and headers.
 */
import { isIP, isIPv4 } from 'node:net';

/** The canonical form of an address as the socket layer reports it; '' when there is none. */
export const canonicalAddress = (address: string | undefined): string => {
  if (!address) return '';
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address;
  const isMapped = bare.startsWith('::ffff:') && isIPv4(bare.slice(7));
  return isMapped ? bare.slice(7) : bare;
};

/** `address:port`, with brackets around IPv6. */
export const addressWithPort = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** The address as wire bytes: 4 or 16 of them, or undefined when it is not an IP address, or one with a zone. */
export const bytesFromAddress = (address: string): Uint8Array | undefined => {
  const version = isIP(address);
  // A zone names a link of this machine only.
  if (address.includes('%')) return undefined;
  if (version === 4) return bytesOfQuad(address);
  if (version !== 6) return undefined;
  // The system has judged the notation (RFC 4291 2.2); what is left is to read it, which rules do for every request.
  const gap = address.indexOf('::');
  const left = groupsFrom(gap < 0 ? address : address.slice(0, gap));
  const right = gap < 0 ? [] : groupsFrom(address.slice(gap + 2));
  const bytes = new Uint8Array(16);
  writeGroups(bytes, left, 0);
  writeGroups(bytes, right, 16 - 2 * right.length);
  return bytes;
};

const bytesOfQuad = (address: string): Uint8Array => {
  const bytes = new Uint8Array(4);
  let index = 0;
  for (let at = 0; at < address.length; at += 1) {
    const digit = address.charCodeAt(at) - 48;
    if (digit < 0) index += 1;
    else bytes[index] = (bytes[index] as number) * 10 + digit;
  }
  return bytes;
};

/** The 16-bit groups of one side of `::`; a dotted quad at the end is two of them. */
const groupsFrom = (text: string): number[] => {
  const groups: number[] = [];
  if (text === '') return groups;
  for (const group of text.split(':'))
    if (group.includes('.')) {
      const [a, b, c, d] = bytesOfQuad(group) as unknown as [number, number, number, number];
      groups.push((a << 8) | b, (c << 8) | d);
    } else groups.push(Number.parseInt(group, 16));
  return groups;
};

const writeGroups = (bytes: Uint8Array, groups: readonly number[], from: number): void => {
  for (const [index, group] of groups.entries()) {
    bytes[from + 2 * index] = group >> 8;
    bytes[from + 2 * index + 1] = group & 255;
  }
};

/** The canonical text (RFC 5952) of an address of 4 or 16 bytes; one that is mapped into IPv6 is the IPv4 address. */
export const addressFromBytes = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return bytes.join('.');
  if (MAPPED_PREFIX.every((byte, at) => bytes[at] === byte)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
};

/** The bytes before an IPv4 address that is mapped into IPv6 (RFC 4291 2.5.5.2). */
export const MAPPED_PREFIX: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * What one peer can choose its addresses from: an IPv4 address itself, the /64 of an IPv6 one (RFC 4291 2.5.4: the rest is the peer's
 * own). Limits per peer count by it.
 * @param address canonical
 */
export const sourceOf = (address: string): string => {
  if (!address.includes(':')) return address;
  const bytes = bytesFromAddress(address);
  return bytes ? `${Buffer.from(bytes.subarray(0, 8)).toString('hex')}/64` : address;
};

/** Whether only this machine can have the address. */
export const isLoopbackAddress = (address: string): boolean =>
  address === '::1' || (isIPv4(address) && address.startsWith('127.'));

/** A text read as an address or a CIDR range (RFC 4632): its canonical form, or what is wrong with it. */
export type RangeReading =
  | {
      /** One address has no prefix. */
      readonly range: string;
      /** Whether every address of its family is in it. */
      readonly isEverything: boolean;
    }
  | {
      /** Follows the text, and does not repeat it. */
      readonly problem: string;
    };

/** Reads a range strictly enough that a slip of the pen cannot widen it. One that is mapped into IPv6 is the IPv4 range. */
export const readRange = (text: string): RangeReading => {
  const [address = '', suffix, ...more] = text.split('/');
  const bytes = bytesFromAddress(address);
  if (bytes === undefined || more.length > 0) return { problem: 'must be an IP address or a CIDR range' };
  const bitCount = bytes.length * 8;
  if (suffix !== undefined && !(/^(?:0|[1-9]\d{0,2})$/.test(suffix) && Number(suffix) <= bitCount))
    return { problem: `must have a prefix length from 1 to ${bitCount}` };
  const prefix = suffix === undefined ? bitCount : Number(suffix);
  if (bytes.some((byte, index) => (byte & ~networkMask(prefix, index)) !== 0))
    return { problem: 'has bits set behind its prefix: write the network address' };
  // A shorter prefix would have left bits of the ffff behind it.
  const isMapped = bytes.length === 16 && MAPPED_PREFIX.every((byte, index) => byte === bytes[index]);
  return isMapped ? readingFrom(bytes.subarray(12), prefix - 96) : readingFrom(bytes, prefix);
};

const readingFrom = (bytes: Uint8Array, prefix: number): RangeReading => {
  const address = addressFromBytes(bytes);
  const range = prefix === bytes.length * 8 ? address : `${address}/${prefix}`;
  return { range, isEverything: prefix === 0 };
};

/** Which bits of the byte at `index` belong to the network. */
const networkMask = (prefix: number, index: number): number => {
  const bits = Math.min(8, Math.max(0, prefix - index * 8));
  return 255 & ~(255 >> bits);
};

/** A set of addresses and CIDR ranges. */
export interface AddressSet {
  /** False for what is no address. */
  has(address: string): boolean;
}

/**
 * Not node:net's BlockList, for which every IPv4 address also is the IPv6 address that it maps to, so that `::/8` would hold all of them.
 * @param ranges which {@link readRange} finds no problem in
 */
export const createAddressSet = (ranges: readonly string[]): AddressSet => {
  const networks = ranges.map(networkFrom);
  return {
    has(address) {
      if (networks.length === 0) return false;
      const bytes = bytesFromAddress(address);
      return bytes !== undefined && networks.some((network) => isInside(network, bytes));
    },
  };
};

interface Network {
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
}

const networkFrom = (text: string): Network => {
  const reading = readRange(text);
  if ('problem' in reading) throw new TypeError(`a range ${reading.problem}`);
  const [address = '', prefix] = reading.range.split('/');
  const bytes = bytesFromAddress(address) as Uint8Array;
  const mask = bytes.map((_, index) => networkMask(Number(prefix ?? bytes.length * 8), index));
  return { bytes, mask };
};

const isInside = ({ bytes, mask }: Network, address: Uint8Array): boolean => {
  if (address.length !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i += 1)
    if (((address[i] as number) & (mask[i] as number)) !== bytes[i]) return false;
  return true;
};

/** Splits `host:port`, `[v6]:port`; undefined when it is neither. Port 0 asks the system for a free one. */
export const splitListenAddress = (text: string): { host: string; port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
};
