/**
 * Files that can be fetched once, by a link that says nothing else.
 *
 * Invariant: in memory only; gone with the first fetch or after downloadMs. What is fetched is worth nothing without its password, which
 * the link does not hold.
 * Limits: downloadsMax, downloadMs.
 */
import { fail } from '../../base/errors.ts';
import { randomText } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import { sha256Hex } from '../../base/secret.ts';
import type { Clock } from '../../base/time.ts';

export interface Download {
  readonly fileName: string;
  readonly mediaType: string;
  readonly content: Buffer;
}

export interface Downloads {
  /** The path of a link, and milliseconds since 1970 at which it ends. */
  offer(download: Download): { path: string; expiresAt: number };
  /** Throws DOWNLOAD_UNKNOWN. */
  take(name: string): Download;
}

export const DOWNLOAD_PATH = '/download/';
const NAME_CHARS = 32; // 160 bits

export const createDownloads = ({ clock }: { readonly clock: Clock }): Downloads => {
  const waiting = new Map<string, Download & { readonly expiresAt: number }>();
  return {
    offer(download) {
      for (const [hash, { expiresAt }] of waiting) if (expiresAt <= clock.now()) waiting.delete(hash);
      if (waiting.size >= LIMITS.downloadsMax) waiting.delete(waiting.keys().next().value!);
      const name = randomText(NAME_CHARS);
      const expiresAt = clock.now() + LIMITS.downloadMs;
      waiting.set(sha256Hex(name), { ...download, expiresAt });
      return { path: `${DOWNLOAD_PATH}${name}`, expiresAt };
    },
    take(name) {
      const hash = sha256Hex(name);
      const found = waiting.get(hash);
      waiting.delete(hash);
      if (!found || found.expiresAt <= clock.now()) throw fail('DOWNLOAD_UNKNOWN');
      return found;
    },
  };
};
