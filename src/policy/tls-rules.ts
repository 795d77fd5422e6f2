/**
 * Rules by the TLS of a connection. The doorstep demands most of it in the handshake already; these hold for requests that come over
 * a connection which was made to another host (RFC 9113 9.1.1), and for policies that change while connections run.
 */
import type { TlsDemands } from '../base/tls.ts';
import type { Rule } from './verdict.ts';

/** What a tunnel demands, or the operator. A connection whose TLS is not known does not meet it. */
export const tlsRule =
  ({ versionMin, suites }: TlsDemands): Rule =>
  ({ tlsVersion, cipher }) => {
    const isNewEnough = tlsVersion === 'TLSv1.3' || tlsVersion === versionMin;
    const isNamed = suites === undefined || suites.some(({ name }) => name === cipher);
    return isNewEnough && isNamed ? undefined : 'TLS_FORBIDDEN';
  };

export const postQuantumRule: Rule = ({ isPostQuantum }) =>
  isPostQuantum === true ? undefined : 'TLS_FORBIDDEN';
