/**
 * Rules by the TLS of a connection. The doorstep demands most of it in the handshake already; these hold for requests that come over
 * a connection which was made to another host, and for policies that change while connections run.
 */
import type { Rule } from './verdict.ts';

/** As in properties and configuration: `tls1.2` or `tls1.3`, which compare as texts do. */
export type TlsVersion = 'tls1.2' | 'tls1.3';

const VERSIONS = new Map<string | undefined, TlsVersion>([
  ['TLSv1.2', 'tls1.2'],
  ['TLSv1.3', 'tls1.3'],
]);

export const tlsVersionRule =
  (min: string): Rule =>
  ({ tlsVersion }) => {
    const version = VERSIONS.get(tlsVersion);
    return version !== undefined && version >= min ? undefined : 'TLS_FORBIDDEN';
  };

/** @param ciphers IANA names of suites */
export const cipherRule = (ciphers: readonly string[]): Rule => {
  const allowed = new Set(ciphers);
  return ({ cipher }) => (cipher !== undefined && allowed.has(cipher) ? undefined : 'TLS_FORBIDDEN');
};

export const postQuantumRule: Rule = ({ isPostQuantum }) =>
  isPostQuantum === true ? undefined : 'TLS_FORBIDDEN';
