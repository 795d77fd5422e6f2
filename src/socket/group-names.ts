/**
 * Names of the key exchange groups that a client offers, for people.
 *
 * Limits: recordedGroupsMax, as a hello has room for thousands.
 */
import { LIMITS } from '../base/limits.ts';
import { X25519_MLKEM768 } from './post-quantum.ts';

/** IANA's, of those that clients of today offer. */
const NAMES = new Map([
  [0x0017, 'secp256r1'],
  [0x0018, 'secp384r1'],
  [0x0019, 'secp521r1'],
  [0x001d, 'x25519'],
  [0x001e, 'x448'],
  [0x0100, 'ffdhe2048'],
  [0x0101, 'ffdhe3072'],
  [0x0102, 'ffdhe4096'],
  [0x0103, 'ffdhe6144'],
  [0x0104, 'ffdhe8192'],
  [0x11eb, 'SecP256r1MLKEM768'],
  [X25519_MLKEM768, 'X25519MLKEM768'],
  [0x11ed, 'SecP384r1MLKEM1024'],
]);

/** By the client's preference, with spaces between them; four hexadecimal digits stand for one without a name here. */
export const groupNamesFrom = (groups: readonly number[]): string =>
  groups
    .slice(0, LIMITS.recordedGroupsMax)
    .map((group) => NAMES.get(group) ?? group.toString(16).padStart(4, '0'))
    .join(' ');
