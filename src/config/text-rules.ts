/**
 * What makes a text a host name, a listen address or a range of addresses.
 *
 * Flow: schema.ts asks each rule for the problem of a text; undefined means that there is none.
 * Invariant: a problem never repeats the text it is about, so that none can carry a secret into a log.
 */
import { bytesFromAddress, isLoopbackAddress, splitListenAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';

// RFC 1123 2.1, and what every official client accepts (protocol.md 1).
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** The problem of a base host: a bare host name below which tunnels get theirs. Letter case does not matter. */
export const hostProblem = (text: string): string | undefined => {
  if (text.includes('://')) return 'must be a host name without a scheme';
  if (text.includes('/')) return 'must be a host name without a path';
  // Browsers read a name whose last label is a number as an IPv4 address (WHATWG URL 3.5).
  const isAddress =
    text.startsWith('[') || bytesFromAddress(text) !== undefined || /(?:^|\.)\d+\.?$/.test(text);
  if (isAddress) return 'must be a host name, not an IP address: tunnels get names below it';
  if (text.includes(':')) return 'must be a host name without a port';
  if (text.length > LIMITS.engineHostCharsMax)
    return `must be at most ${LIMITS.engineHostCharsMax} characters: tunnel names come before it`;
  if (!text.toLowerCase().split('.').every(isLabel))
    return 'must be a host name: labels of letters, digits and inner hyphens, joined by dots';
  return undefined;
};

const isLabel = (label: string): boolean => LABEL.test(label);

/** The problem of an address to listen on: `host:port`, `[IPv6]:port`, or `:port` for every address. */
export const listenAddressProblem = (text: string): string | undefined => {
  const address = splitListenAddress(text);
  const isSound =
    address !== undefined &&
    (text.startsWith('[')
      ? bytesFromAddress(address.host)?.length === 16
      : address.host === '' || bytesFromAddress(address.host)?.length === 4 || !hostProblem(address.host));
  return isSound ? undefined : 'must be host:port, [IPv6]:port or :port';
};

/** Whether only this machine can reach a listen address. */
export const isLoopback = (listenAddress: string): boolean => {
  const host = splitListenAddress(listenAddress)?.host ?? '';
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host);
};

/** The problem of an address or a CIDR range (RFC 4632), strict enough that a slip of the pen cannot widen it. */
export const rangeProblem = (text: string): string | undefined => {
  const [address = '', prefix, ...more] = text.split('/');
  // A zone names a link of this machine only, and addresses arrive without it.
  const bytes = address.includes('%') ? undefined : bytesFromAddress(address);
  if (bytes === undefined || more.length > 0) return 'must be an IP address or a CIDR range';
  if (/^::ffff:/i.test(address)) return 'must be written as IPv4: mapped addresses arrive as such';
  if (prefix === undefined) return undefined;

  const bitCount = bytes.length * 8;
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > bitCount)
    return `must have a prefix length from 1 to ${bitCount}`;
  if (prefix === '0') return 'must not cover every address: name the proxies that you run';
  const hasHostBits = bytes.some((byte, index) => {
    const networkBits = Math.min(8, Math.max(0, Number(prefix) - index * 8));
    return (byte & (255 >> networkBits)) !== 0;
  });
  return hasHostBits ? 'has bits set behind its prefix: write the network address' : undefined;
};
