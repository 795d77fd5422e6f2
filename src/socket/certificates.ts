/**
 * The engine's certificates and keys, read from PEM files and read again when one of them changes (protocol.md 14.3).
 *
 * Flow: terminate.ts asks for the current pairs at every handshake and rebuilds its TLS context when it got others.
 * Invariant: `current` is always what TLS can use; a replacement that is not leaves all the old ones in place.
 * Limits: the files are looked at once per certificateCheckMs at most.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';

/** A certificate chain and its key, known to fit each other. */
export interface CertificatePair {
  /** PEM: the certificate, then those that lead to a root. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** Of the key, as Node names it: `ec`, `rsa` ... */
  readonly kind: string;
}

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Holds the pairs. */
export interface Certificates {
  /** The pairs for a handshake that begins now, one of each kind of key. Other pairs are another list. */
  current(): readonly CertificatePair[];
}

/**
 * Loads the pairs.
 * @param files at least one; several only of different kinds (ECDSA and RSA), between which each handshake chooses
 * @throws CERTIFICATE_INVALID when one cannot be read or used; one that has expired only gets a warning
 */
export const createCertificates = (
  needs: { readonly log: Logger; readonly clock: Clock },
  files: readonly CertificateFiles[],
): Certificates => {
  const { log, clock } = needs;
  let seen = stampFrom(files);
  let pairs = pairsFrom(files);
  let checkedAt = clock.elapsed();

  const eachPair = (told: (fields: { certFile: string | undefined; expiresAt: number }) => void) => {
    for (const [index, { expiresAt }] of pairs.entries())
      told({ certFile: files[index]?.certFile, expiresAt });
  };
  const warnOfExpiry = () =>
    eachPair((fields) => {
      if (fields.expiresAt <= clock.now()) log.warn(fields, 'the certificate has expired');
    });

  const reload = () => {
    // The stamp is taken before the files are read: what changes in between is seen next time.
    const stamp = stampFrom(files);
    if (stamp === seen) return;
    seen = stamp;
    try {
      pairs = pairsFrom(files);
      eachPair((fields) => log.info(fields, 'the certificate was reloaded'));
      warnOfExpiry();
    } catch (error) {
      log.warn({ code: 'CERTIFICATE_INVALID', error }, 'the new certificate is ignored, the old one stays');
    }
  };

  warnOfExpiry();
  return {
    current() {
      const nowMs = clock.elapsed();
      if (nowMs - checkedAt >= LIMITS.certificateCheckMs) {
        checkedAt = nowMs;
        reload();
      }
      return pairs;
    },
  };
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

/** All of them or none: a rotation is taken up when its last file is in place. */
const pairsFrom = (files: readonly CertificateFiles[]): readonly CertificatePair[] => {
  const pairs = files.map(pairFrom);
  for (const [index, { kind }] of pairs.entries()) {
    const first = pairs.findIndex((pair) => pair.kind === kind);
    if (first === index) continue;
    // OpenSSL holds one of each kind, and would drop the first without a word.
    const names = `${files[first]?.certFile} and ${files[index]?.certFile}`;
    throw fail('CERTIFICATE_INVALID', {
      problem: `${names} both have a key of kind ${kind}; there can be one`,
    });
  }
  return pairs;
};

const pairFrom = (files: CertificateFiles): CertificatePair => {
  const { certFile, keyFile } = files;
  const cert = contentOf(certFile);
  const key = contentOf(keyFile);
  const certificate = parsed(() => new X509Certificate(cert), `${certFile} holds no PEM certificate`);
  const privateKey = parsed(() => createPrivateKey(key), `${keyFile} holds no unencrypted PEM key`);
  // Asked here because OpenSSL notices only when both are of one kind, and then would fail handshake after handshake.
  if (!certificate.checkPrivateKey(privateKey))
    throw fail('CERTIFICATE_INVALID', { problem: `the key in ${keyFile} does not belong to ${certFile}` });
  parsed(() => createSecureContext({ cert, key }), `${certFile} holds a chain that TLS cannot use`);
  const expiresAt = Date.parse(certificate.validTo);
  return { cert, key, expiresAt, kind: privateKey.asymmetricKeyType ?? '' };
};

const contentOf = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw fail('CERTIFICATE_INVALID', { problem: `${path} cannot be read (${reason})` }, error);
  }
};

const parsed = <Result>(parse: () => Result, problem: string): Result => {
  try {
    return parse();
  } catch (error) {
    throw fail('CERTIFICATE_INVALID', { problem }, error);
  }
};
