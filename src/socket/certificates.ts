/**
 * The engine's certificates and keys, read from PEM files and read again when one of them changes (protocol.md 14.3).
 *
 * Flow: terminate.ts asks for the current pairs at every handshake and rebuilds its TLS context when it got others; connections that are
 * up keep what they were made with.
 * Invariant: `current` is always what TLS can use. New pairs are used only when all of them are proven: chain and key parse and fit each
 * other, and the time is theirs; until then the old ones stay. Names that are missing are told of and refuse nothing.
 * Limits: the files are looked at once per certificateCheckMs at most.
 */
import { readFileSync, statSync } from 'node:fs';
import { engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { type CertificatePair, coverageOf, pairFrom, problemOfTime } from './certificate-pair.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Holds the pairs. */
export interface Certificates {
  /** The pairs for a handshake that begins now. Other pairs are another list. */
  current(): readonly CertificatePair[];
}

/** What became of files that had changed. */
export interface Reload {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Why they are not used; absent when they are. */
  readonly problem?: string;
}

export interface WatchedCertificates extends Certificates {
  /** Looks at the files now. Returns why changed ones are not used. */
  reload(): string | undefined;
  /** Undefined as long as nothing has changed since the start. */
  readonly lastReload: Reload | undefined;
}

/**
 * Loads the pairs.
 * @param files at least one; of those with one kind of key each must have names that those before it have not
 * @param options.engineHost warns when no pair names it, or `*.t.` of it; without one nobody looks
 * @throws CERTIFICATE_INVALID when one cannot be read or used; one that has expired only gets a warning, as there is no other
 */
export const createCertificates = (
  needs: { readonly log: Logger; readonly clock: Clock },
  files: readonly CertificateFiles[],
  options: { readonly engineHost?: string } = {},
): WatchedCertificates => {
  const { log, clock } = needs;
  let seen = stampFrom(files);
  let pairs = readPairs(files);
  let checkedAt = clock.elapsed();
  let lastReload: Reload | undefined;
  // A pair whose time it is not is tried again when it is: tomorrow, or when the clock has been set right.
  let waiting: CertificatePair | undefined;

  const eachPair = (told: (fields: { certFile: string | undefined; expiresAt: number }) => void) => {
    for (const [index, { expiresAt }] of pairs.entries())
      told({ certFile: files[index]?.certFile, expiresAt });
  };
  const warn = () => {
    eachPair((fields) => {
      if (fields.expiresAt <= clock.now()) log.warn(fields, 'the certificate has expired');
    });
    for (const name of missingNames(pairs, options.engineHost))
      log.warn({ hostname: name }, 'no certificate has this name: clients that verify will not connect');
  };

  const take = () => {
    waiting = undefined;
    const found = readPairs(files);
    for (const [index, pair] of found.entries()) {
      // One that did not change is no reason to keep the others out, whatever became of its time meanwhile.
      if (pairs[index]?.cert.equals(pair.cert)) continue;
      const problem = problemOfTime(pair, files[index]?.certFile ?? '', clock.now());
      if (problem === undefined) continue;
      waiting = pair;
      throw fail('CERTIFICATE_INVALID', { problem });
    }
    pairs = found;
    lastReload = { at: clock.now() };
    eachPair((fields) => log.info(fields, 'the certificate was reloaded'));
    warn();
  };

  const reload = () => {
    checkedAt = clock.elapsed();
    // The stamp is taken before the files are read: what changes in between is seen next time.
    const stamp = stampFrom(files);
    const isAwaited = waiting !== undefined && problemOfTime(waiting, '', clock.now()) === undefined;
    if (stamp === seen && !isAwaited) return lastReload?.problem;
    seen = stamp;
    try {
      take();
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      const { problem } = error.details;
      lastReload = { at: clock.now(), problem: typeof problem === 'string' ? problem : error.message };
      log.warn({ code: 'CERTIFICATE_INVALID', error }, 'the new certificate is ignored, the old one stays');
    }
    return lastReload?.problem;
  };

  warn();
  return {
    current() {
      if (clock.elapsed() - checkedAt >= LIMITS.certificateCheckMs) reload();
      return pairs;
    },
    reload,
    get lastReload() {
      return lastReload;
    },
  };
};

/** Names of the engine that no pair has. */
const missingNames = (pairs: readonly CertificatePair[], host: string | undefined): string[] => {
  if (host === undefined) return [];
  const covered = pairs.map((pair) => coverageOf(pair, host));
  return [
    ...(covered.some((each) => each.host) ? [] : [host]),
    ...(covered.some((each) => each.tunnels) ? [] : [`*.t.${host}`]),
  ];
};

/** Text that differs whenever one of the files does. */
const stampFrom = (files: readonly CertificateFiles[]): string =>
  files.map(({ certFile, keyFile }) => `${stampOf(certFile)} ${stampOf(keyFile)}`).join(' ');

const stampOf = (path: string): string => {
  try {
    // Nanoseconds, as two writes fit into one millisecond.
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'unreadable';
  }
};

/**
 * All of them or none: a rotation is taken up when its last file is in place.
 * @throws CERTIFICATE_INVALID
 */
export const readPairs = (files: readonly CertificateFiles[]): readonly CertificatePair[] => {
  const pairs = files.map(({ certFile, keyFile }) =>
    pairFrom({ cert: contentOf(certFile), key: contentOf(keyFile), certName: certFile, keyName: keyFile }),
  );
  for (const [index, pair] of pairs.entries()) {
    const rivals = pairs.slice(0, index).filter(({ kind }) => kind === pair.kind);
    const isNeeded = pair.names.some((name) => !rivals.some(({ names }) => names.includes(name)));
    if (rivals.length === 0 || isNeeded) continue;
    const first = pairs.findIndex(({ kind }) => kind === pair.kind);
    const both = `${files[first]?.certFile} and ${files[index]?.certFile}`;
    throw fail('CERTIFICATE_INVALID', {
      problem: `${both} both have a key of kind ${pair.kind}, and the second has no name of its own: it would never be shown`,
    });
  }
  return pairs;
};

const contentOf = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw fail('CERTIFICATE_INVALID', { problem: `${path} cannot be read (${reason})` }, error);
  }
};
