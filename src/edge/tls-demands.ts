/**
 * Whether the TLS of a connection is good enough for a tunnel that it was not opened for.
 *
 * Flow: exchange.ts asks for every request, after routing; the doorstep has asked for the name that the connection began with.
 */
import type { TlsDemands } from '../base/tls.ts';

/** What the TLS of a connection has come to. */
export interface TlsFacts {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsVersion: string;
  /** The suite's IANA name. */
  readonly cipher: string;
}

/** False as well for whatever is no TLS version. */
export const meetsTlsDemands = (
  { versionMin, suites }: TlsDemands,
  { tlsVersion, cipher }: TlsFacts,
): boolean =>
  (tlsVersion === 'TLSv1.3' || tlsVersion === versionMin) &&
  (suites === undefined || suites.some(({ name }) => name === cipher));
