/**
 * Key exchange that a quantum computer will not read later: X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), where the runtime has it.
 *
 * Flow: engine.ts asks once whether `require` can be kept; dispatch.ts looks for the group in each hello; terminate.ts offers it.
 * Invariant: with `require` no other group is offered, so that what dispatch.ts let in by its hello cannot end up without it.
 */
import { createSecureContext } from 'node:tls';
import { fail } from '../base/errors.ts';

/** `prefer` uses it with every client that offers it, `require` refuses the others. */
export type PostQuantum = 'off' | 'prefer' | 'require';

/** The group's number in a ClientHello. */
export const X25519_MLKEM768 = 0x11ec;

const GROUP = 'X25519MLKEM768';
const CLASSIC_GROUPS = 'X25519:P-256:P-384';

let isKnownToHave: boolean | undefined;

/** Whether this runtime has the group: OpenSSL 3.5 and later. */
export const hasPostQuantum = (): boolean => {
  isKnownToHave ??= canUse(GROUP);
  return isKnownToHave;
};

const canUse = (groups: string): boolean => {
  try {
    createSecureContext({ ecdhCurve: groups });
    return true;
  } catch {
    return false;
  }
};

/** @throws POST_QUANTUM_UNAVAILABLE when it is required and the runtime lacks it */
export const checkPostQuantum = (postQuantum: PostQuantum): void => {
  if (postQuantum === 'require' && !hasPostQuantum())
    throw fail('POST_QUANTUM_UNAVAILABLE', { node: process.version, openssl: process.versions.openssl });
};

/** Whether handshakes have the group, so that each client of TLS 1.3 that offers it ends up with it (see {@link groupsFrom}). */
export const usesPostQuantum = (postQuantum: PostQuantum): boolean =>
  postQuantum === 'require' || (postQuantum === 'prefer' && hasPostQuantum());

/**
 * The groups to offer, as OpenSSL writes them. The slash makes a preference of it: a client that knows the group but sent a key
 * for another is asked for one more round trip, rather than taken at its guess.
 */
export const groupsFrom = (postQuantum: PostQuantum): string => {
  if (postQuantum === 'require') return GROUP;
  return usesPostQuantum(postQuantum) ? `${GROUP}/${CLASSIC_GROUPS}` : CLASSIC_GROUPS;
};
