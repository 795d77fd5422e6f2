/**
 * What makes a text a host name, a listen address, a range of addresses, a country or a protocol.
 *
 * Flow: schema.ts asks each rule for the problem of a text; undefined means that there is none.
 * Invariant: a problem never repeats the text it is about, so that none can carry a secret into a log.
 */
import { countryFrom } from '../base/country.ts';
import { bytesFromAddress, isLoopbackAddress, readRange, splitListenAddress } from '../base/ip.ts';
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

/** The problem of what a browser may call a listener: a host and a port. */
export const adminHostProblem = (text: string): string | undefined =>
  text.startsWith(':') || listenAddressProblem(text) ? 'must be host:port or [IPv6]:port' : undefined;

/** Whether only this machine can reach a listen address. */
export const isLoopback = (listenAddress: string): boolean => {
  const host = splitListenAddress(listenAddress)?.host ?? '';
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host);
};

/** The problem of an address or a CIDR range (RFC 4632). */
export const rangeProblem = (text: string): string | undefined => {
  const reading = readRange(text);
  return 'problem' in reading ? reading.problem : undefined;
};

/** The problem of a host to listen on: an IP address, without a port. */
export const listenHostProblem = (text: string): string | undefined =>
  bytesFromAddress(text) && !text.includes('%') ? undefined : 'must be an IP address without a port';

/** The problem of a range of ports, both ends included. */
export const portRangeProblem = (text: string): string | undefined => {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const isSound = Number(first) >= 1 && Number(first) <= Number(last) && Number(last) <= 65_535;
  return isSound ? undefined : 'must be FIRST-LAST, with ports from 1 to 65535';
};

/** The same, of addresses that are trusted with what others are not. */
export const trustedRangeProblem = (text: string): string | undefined =>
  coversEverything(text) ? 'must not cover every address: name the proxies that you run' : rangeProblem(text);

/** Whether a range, if it is one, has every address of its family. */
export const coversEverything = (text: string): boolean => {
  const reading = readRange(text);
  return 'range' in reading && reading.isEverything;
};

/** The problem of a country. */
export const countryProblem = (text: string): string | undefined =>
  countryFrom(text) === undefined ? 'must be a country of two letters (ISO 3166-1 alpha-2)' : undefined;

/** The problem of a protocol that tunnels may be published with. */
export const publishedProtocolProblem = (text: string): string | undefined =>
  ['http', 'tls', 'tcp'].includes(text) ? undefined : 'must be http, tls or tcp';

/** The problem of the name of a header (RFC 9110 5.1). */
export const headerNameProblem = (text: string): string | undefined =>
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/.test(text) ? undefined : 'must be the name of a header';
