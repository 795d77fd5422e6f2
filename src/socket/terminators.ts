/**
 * One terminator for each TLS policy of published names.
 *
 * Flow: receive.ts asks with the policy of a connection.
 * Invariant: equal policies share a terminator, and with it session tickets; different ones never do, so that a session which was
 * made under lax rules cannot be resumed under strict ones (CVE-2025-23419). One that is dropped finishes its handshakes.
 * Limits: tlsPoliciesMax, since agents choose the values; the one that was used longest ago is dropped.
 */
import { LIMITS } from '../base/limits.ts';
import { createTerminator, type Terminator, type TerminatorNeeds, type TlsPolicy } from './terminate.ts';

/** Makes the function that finds the terminator of a policy. */
export const createTerminators = (needs: TerminatorNeeds, policiesMax: number = LIMITS.tlsPoliciesMax) => {
  // In the order of use, the oldest first.
  const terminators = new Map<string, Terminator>();
  return (policy: TlsPolicy): Terminator => {
    const key = keyOf(policy);
    const terminator = terminators.get(key) ?? createTerminator(needs, policy);
    terminators.delete(key);
    terminators.set(key, terminator);
    if (terminators.size > policiesMax)
      for (const oldest of terminators.keys()) {
        terminators.delete(oldest);
        break;
      }
    return terminator;
  };
};

/** A text that two policies share exactly when they are equal. */
const keyOf = (policy: TlsPolicy): string => {
  const { versionMin, suites, alpnProtocols, postQuantum, clientCertificate = null } = policy;
  const names = suites?.map(({ name }) => name) ?? null;
  return JSON.stringify([versionMin, names, alpnProtocols, postQuantum, clientCertificate]);
};
