/**
 * Which server certificates the local CA beside the engine has made, and so may make again.
 *
 * Flow: the upkeep of certificates asks for the standing of what is served; authority.ts signs.
 * Invariant: a certificate is the engine's own only when a CA that this program made has signed it, and every name in it is one that the
 * new certificate will have too. Whatever else is in the files is the operator's and is never touched.
 */
import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { namesOf } from '../base/certificate-names.ts';
import { LIMITS } from '../base/limits.ts';

/** PEM files of the local CA. */
export interface AuthorityFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where a certificate comes from, and what becomes of it. */
export interface Standing {
  readonly source: 'local_ca' | 'files';
  /** Milliseconds since 1970 from which on it is renewed; absent when it is not. */
  readonly renewsAt?: number;
  /** Why it is not renewed though the local CA has made it. */
  readonly obstacle?: string;
}

/** How the CA of an instance is called. */
export const authorityName = (host: string): string => `${AUTHORITY_NAME}${host}`;
const AUTHORITY_NAME = 'rstream-engine-ce CA for ';

/**
 * What the local CA names in a server certificate: whoever administers an engine reaches it by loopback, its own or that of an SSH tunnel,
 * by name or by address.
 */
export const serverNames = (host: string) => ({
  dns: [...new Set([host, `*.t.${host}`, 'localhost'])],
  ip: ['127.0.0.1', '::1'],
});

// Two thirds of its life: 132 days are left for whatever keeps it from being renewed.
const renewalTimeOf = (validFrom: number, validTo: number): number =>
  Math.round(validFrom + ((validTo - validFrom) * 2) / 3);

/** @param certificate that is served */
export const standingOf = (
  certificate: X509Certificate,
  files: AuthorityFiles,
  { host, nowMs }: { readonly host: string; readonly nowMs: number },
): Standing => {
  const authority = authorityFrom(files.certFile);
  if (!authority || !hasIssued(authority, certificate)) return { source: 'files' };
  const obstacle = foreignName(certificate, host) ?? obstacleFrom(authority, files, nowMs);
  if (obstacle !== undefined) return { source: 'local_ca', obstacle };
  const validFrom = Date.parse(certificate.validFrom);
  // Made by a clock that was ahead: nobody trusts it before its time.
  const renewsAt = validFrom > nowMs ? nowMs : renewalTimeOf(validFrom, Date.parse(certificate.validTo));
  return { source: 'local_ca', renewsAt };
};

const authorityFrom = (certFile: string): X509Certificate | undefined => {
  try {
    return new X509Certificate(readFileSync(certFile));
  } catch {
    return undefined;
  }
};

const hasIssued = (authority: X509Certificate, certificate: X509Certificate): boolean =>
  authority.subject.startsWith(`CN=${AUTHORITY_NAME}`) &&
  certificate.checkIssued(authority) &&
  certificate.verify(authority.publicKey);

/** Somebody wanted a name that the next certificate would not have. */
const foreignName = (certificate: X509Certificate, host: string): string | undefined => {
  const { dns, ip } = serverNames(host);
  const foreign = namesOf(certificate).find((name) => ![...dns, ...ip].includes(name));
  return foreign && `it names ${foreign}, which is no name of this engine`;
};

const obstacleFrom = (authority: X509Certificate, files: AuthorityFiles, nowMs: number) => {
  if (Date.parse(authority.validFrom) > nowMs) return 'the clock is behind the time at which the CA was made';
  if (Date.parse(authority.validTo) - nowMs < LIMITS.certificateWarningMs)
    return `the local CA ends on ${new Date(authority.validTo).toISOString()}: make a new one`;
  try {
    accessSync(files.keyFile, constants.R_OK);
    return undefined;
  } catch (error) {
    return `${files.keyFile} cannot be read (${(error as NodeJS.ErrnoException).code})`;
  }
};
