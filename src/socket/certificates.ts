/**
 * The engine's certificate and key, read from PEM files and read again when they change (protocol.md 14.3).
 *
 * Flow: terminate.ts asks for the current pair at every handshake and rebuilds its TLS context when it got another one.
 * Invariant: `current` is always a pair that TLS can use; a replacement that is not leaves the old one in place.
 * Limits: the files are looked at once per certificateCheckMs at most.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';

/** A certificate chain and its key, known to fit each other. Another pair is another object. */
export interface CertificatePair {
  /** PEM: the certificate, then those that lead to a root. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Holds the pair. */
export interface Certificates {
  /** The pair for a handshake that begins now. */
  current(): CertificatePair;
}

/**
 * Loads the pair.
 * @throws CERTIFICATE_INVALID when it cannot be read or used; one that has expired only gets a warning
 */
export const createCertificates = (
  needs: { readonly log: Logger; readonly clock: Clock },
  files: CertificateFiles,
): Certificates => {
  const { log, clock } = needs;
  let seen = stampFrom(files);
  let pair = pairFrom(files);
  let checkedAt = clock.elapsed();

  const warnOfExpiry = () => {
    if (pair.expiresAt <= clock.now())
      log.warn({ certFile: files.certFile, expiresAt: pair.expiresAt }, 'the certificate has expired');
  };

  const reload = () => {
    // The stamp is taken before the files are read: what changes in between is seen next time.
    const stamp = stampFrom(files);
    if (stamp === seen) return;
    seen = stamp;
    try {
      pair = pairFrom(files);
      log.info({ certFile: files.certFile, expiresAt: pair.expiresAt }, 'the certificate was reloaded');
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
      return pair;
    },
  };
};

/** Text that differs whenever one of the files does. */
const stampFrom = (files: CertificateFiles): string => `${stampOf(files.certFile)} ${stampOf(files.keyFile)}`;

const stampOf = (path: string): string => {
  try {
    // Nanoseconds, as two writes fit into one millisecond.
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'unreadable';
  }
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
  return { cert, key, expiresAt: Date.parse(certificate.validTo) };
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
