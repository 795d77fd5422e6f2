/**
 * A certificate authority of one's own, for engines without a public certificate.
 *
 * Flow: `init` and `quickstart` write what this returns to files; operators and users trust the authority's certificate. `cert
 * issue-client` makes certificates for agents and people.
 * Invariant: certificates satisfy the strict readers too (RFC 5280 as checked by OpenSSL's x509_strict, which Python 3.13 turns on):
 * key identifiers on both, critical basicConstraints and keyUsage, names in subjectAltName only.
 */
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { randomText } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { authorityName, serverNames } from './local-authority.ts';
import { createPkcs12 } from './pkcs12.ts';

/** PEM texts of the authority. The key issues certificates: keep it where only the operator reads. */
export interface Authority {
  readonly caCertificate: string;
  readonly caKey: string;
}

/** PEM texts for a TLS listener. Signed by the root itself, so the certificate is the whole chain. */
export interface ServerIdentity {
  readonly serverCertificate: string;
  readonly serverKey: string;
}

/** What the functions for servers take. */
export interface AuthorityOptions {
  /** The engine's host; its tunnels live at `*.t.<host>`. */
  readonly host: string;
  readonly clock: Clock;
}

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3_650;
// Browsers allow 398 to public authorities; nothing to gain from standing out.
const SERVER_DAYS = 397;
// A client whose clock is behind ours must not find the certificate in its future.
const BACKDATE_MS = 3_600_000;
// ub-common-name of RFC 5280; the names that count are in subjectAltName.
const COMMON_NAME_CHARS_MAX = 64;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Makes an authority, valid for ten years, and a first certificate for the host. */
export const createAuthority = async (options: AuthorityOptions): Promise<Authority & ServerIdentity> => {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: commonName(authorityName(options.host)),
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity(options.clock, AUTHORITY_DAYS),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const authority = { caCertificate: pemFrom(certificate), caKey: pemFromKey(keys.privateKey) };
  return { ...authority, ...(await issueServerIdentity(authority, options)) };
};

/** Makes a new key and a certificate for `host`, `*.t.<host>` and loopback, valid for 397 days, or as long as the authority. */
export const issueServerIdentity = async (
  { caCertificate, caKey }: Authority,
  { host, clock }: AuthorityOptions,
): Promise<ServerIdentity> => {
  const issuer = new X509Certificate(caCertificate);
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: commonName(host),
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importKey(caKey),
    signingAlgorithm: ALGORITHM,
    ...validity(clock, SERVER_DAYS, issuer.notAfter),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(namesFor(host)),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { serverCertificate: pemFrom(certificate), serverKey: pemFromKey(keys.privateKey) };
};

/** A client certificate with its key, and both in one file that browsers, phones and keychains import. */
export interface ClientIdentity {
  readonly clientCertificate: string;
  readonly clientKey: string;
  /** PKCS#12. */
  readonly archive: Buffer;
  /** Opens the archive: 100 random bits. */
  readonly archivePassword: Secret;
}

/** Makes a new key and a certificate by which a client proves itself. */
export const issueClientIdentity = async (
  { caCertificate, caKey }: Authority,
  { name, days, clock }: { readonly name: string; readonly days: number; readonly clock: Clock },
): Promise<ClientIdentity> => {
  const issuer = new X509Certificate(caCertificate);
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: commonName(name),
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importKey(caKey),
    signingAlgorithm: ALGORITHM,
    ...validity(clock, days),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  const archivePassword = new Secret(randomText(20));
  return {
    clientCertificate: pemFrom(certificate),
    clientKey: pemFromKey(keys.privateKey),
    archivePassword,
    archive: createPkcs12({
      name,
      password: archivePassword.reveal(),
      certificates: [Buffer.from(certificate.rawData), Buffer.from(issuer.rawData)],
      key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'der' }),
    }),
  };
};

const namesFor = (host: string): JsonGeneralNames => {
  const { dns, ip } = serverNames(host);
  return [
    ...dns.map((value) => ({ type: 'dns', value }) as const),
    ...ip.map((value) => ({ type: 'ip', value }) as const),
  ];
};

const commonName = (text: string) => [{ CN: [text.slice(0, COMMON_NAME_CHARS_MAX)] }];

/** @param until nothing outlives its issuer */
const validity = (clock: Clock, days: number, until?: Date) => {
  const notBeforeMs = clock.now() - BACKDATE_MS;
  const notAfterMs = Math.min(notBeforeMs + days * DAY_MS, until?.getTime() ?? Infinity);
  return { notBefore: new Date(notBeforeMs), notAfter: new Date(notAfterMs) };
};

const generateKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

const importKey = (pem: string) => {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
};

const pemFrom = (certificate: X509Certificate): string => `${certificate.toString('pem')}\n`;

const pemFromKey = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
