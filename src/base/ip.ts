/**
 * IP addresses in one canonical form.
 *
 * Invariant: an IPv4 address that arrives mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address everywhere, and zone ids are gone,
 * so that one peer has one name in rules, logs and headers.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

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

/** The address as wire bytes: 4 or 16 of them, or undefined when it is not an IP address. */
export const bytesFromAddress = (address: string): Uint8Array | undefined => {
  const version = isIP(address);
  if (version === 4) return Uint8Array.from(address.split('.'), Number);
  if (version !== 6) return undefined;
  // The URL parser knows every notation of RFC 4291, and writes the one of RFC 5952 without dotted quads.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::') as [
    string,
    string?,
  ];
  const groupsFrom = (text: string | undefined) =>
    text ? text.split(':').map((group) => Number.parseInt(group, 16)) : [];
  const left = groupsFrom(head);
  const right = groupsFrom(tail);
  const groups = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
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

/** A set of addresses and CIDR ranges. */
export interface AddressSet {
  has(address: string): boolean;
}

/**
 * @param ranges addresses or CIDR ranges, already validated
 */
export const createAddressSet = (ranges: readonly string[]): AddressSet => {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return { has: (address) => isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6') };
};

/** Splits `host:port`, `[v6]:port`; undefined when it is neither. Port 0 asks the system for a free one. */
export const splitListenAddress = (text: string): { host: string; port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
};
