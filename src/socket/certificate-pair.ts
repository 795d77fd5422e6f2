/**
 * A certificate chain and its key: read from PEM, and what is to be said of it.
 *
 * Flow: certificates.ts reads the files; the Admin API has what an operator uploads looked at by the same functions.
 * Invariant: what `pairFrom` returns can be used by TLS; no key is in any text that leaves here.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { namesOf } from '../base/certificate-names.ts';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import { LIMITS } from '../base/limits.ts';

/** A certificate chain and its key, known to fit each other. */
export interface CertificatePair {
  /** PEM: the certificate, then those that lead to a root. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Milliseconds since 1970, as is the end. */
  readonly validFrom: number;
  readonly expiresAt: number;
  /** Of the key, as Node names it: `ec`, `rsa` ... */
  readonly kind: string;
  /** Of the key, for people: `ec prime256v1`, `rsa 2048`. */
  readonly keyType: string;
  /** DNS names and addresses in subjectAltName; the subject's own name counts for no client of today. */
  readonly names: readonly string[];
  /** Parsed, in the order of the PEM. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
}

/** PEM, and how refusals call each of them. */
export interface PairSource {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly certName: string;
  readonly keyName: string;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** @throws CERTIFICATE_INVALID when they cannot be used together, whatever the time is */
export const pairFrom = ({ cert, key, certName, keyName }: PairSource): CertificatePair => {
  const [leaf, ...rest] = chainFrom(cert, certName);
  const privateKey = parsed(() => createPrivateKey(key), `${keyName} holds no unencrypted PEM key`);
  // Asked here because OpenSSL notices only when both are of one kind, and then would fail handshake after handshake.
  if (!leaf.checkPrivateKey(privateKey))
    throw fail('CERTIFICATE_INVALID', { problem: `${keyName} does not belong to ${certName}` });
  parsed(() => createSecureContext({ cert, key }), `${certName} holds a chain that TLS cannot use`);
  const kind = privateKey.asymmetricKeyType ?? '';
  const { namedCurve, modulusLength } = privateKey.asymmetricKeyDetails ?? {};
  return {
    cert,
    key,
    kind,
    keyType: `${kind} ${namedCurve ?? modulusLength ?? ''}`.trim(),
    validFrom: Date.parse(leaf.validFrom),
    expiresAt: Date.parse(leaf.validTo),
    names: namesOf(leaf),
    chain: [leaf, ...rest],
  };
};

const chainFrom = (cert: Buffer, certName: string): readonly [X509Certificate, ...X509Certificate[]] => {
  const blocks = cert.toString('latin1').match(PEM_CERTIFICATE) ?? [];
  if (blocks.length > LIMITS.certificateChainMax)
    throw fail('CERTIFICATE_INVALID', {
      problem: `${certName} holds more than ${LIMITS.certificateChainMax} certificates`,
    });
  const [leaf, ...rest] = blocks.map((pem, at) =>
    parsed(() => new X509Certificate(pem), `certificate ${at + 1} in ${certName} cannot be read`),
  );
  if (!leaf) throw fail('CERTIFICATE_INVALID', { problem: `${certName} holds no PEM certificate` });
  return [leaf, ...rest];
};

/** Whether clients that ask for this name take the certificate. */
export const coversName = ({ chain: [leaf] }: Pick<CertificatePair, 'chain'>, name: string): boolean =>
  leaf.checkHost(name, { subject: 'never' }) !== undefined;

/** Whether it is good for the engine's host, and for its tunnels at `*.t.<host>`. */
export const coverageOf = (pair: Pick<CertificatePair, 'chain'>, host: string) => ({
  host: coversName(pair, host),
  // Any label stands for the wildcard.
  tunnels: coversName(pair, `any.t.${host}`),
});

/** Why a pair must not be used now; undefined when it may. */
export const problemOfTime = (
  { validFrom, expiresAt }: Pick<CertificatePair, 'validFrom' | 'expiresAt'>,
  certName: string,
  nowMs: number,
): string | undefined => {
  if (expiresAt <= nowMs) return `${certName} has expired (${isoFrom(expiresAt)})`;
  if (validFrom > nowMs) return `${certName} is not valid before ${isoFrom(validFrom)}`;
  return undefined;
};

/**
 * What keeps no pair from being used, but some clients from trusting it: sentences, none when all is well.
 * @param others that are served beside it, and may have the names that it lacks
 */
export const warningsOf = (
  pair: CertificatePair,
  host: string,
  nowMs: number,
  others: readonly CertificatePair[] = [],
): string[] => {
  const { chain, expiresAt, names } = pair;
  const covered = [pair, ...others].map((each) => coverageOf(each, host));
  const warnings: string[] = [];
  if (names.length === 0) warnings.push('it has no subjectAltName, so no client of today accepts it');
  if (!covered.some((each) => each.host)) warnings.push(`it does not name ${host}, where agents connect`);
  if (!covered.some((each) => each.tunnels))
    warnings.push(`it does not name *.t.${host}, where tunnels are published`);
  return [...warnings, ...chainWarnings(chain, nowMs), ...endWarnings(expiresAt, nowMs)];
};

const chainWarnings = (chain: CertificatePair['chain'], nowMs: number): string[] => {
  const warnings: string[] = [];
  for (const [at, issuer] of chain.slice(1).entries())
    if (!chain[at]?.checkIssued(issuer))
      warnings.push(`certificate ${at + 2} of the chain has not issued the one before it`);
  const last = chain[chain.length - 1] ?? chain[0];
  if (last.checkIssued(last) && chain.length > 1)
    warnings.push('the chain ends with a root, which clients have or do not trust: leave it out');
  for (const [at, each] of chain.slice(1).entries())
    if (Date.parse(each.validTo) <= nowMs) warnings.push(`certificate ${at + 2} of the chain has expired`);
  return warnings;
};

const endWarnings = (expiresAt: number, nowMs: number): string[] => {
  if (expiresAt <= nowMs) return ['it has expired'];
  if (expiresAt - nowMs > LIMITS.certificateWarningMs) return [];
  return [`it expires in ${daysUntil(expiresAt, nowMs)} days`];
};

/** Whole days that are left; negative when it is over. */
export const daysUntil = (expiresAt: number, nowMs: number): number =>
  Math.floor((expiresAt - nowMs) / 86_400_000);

const parsed = <Result>(parse: () => Result, problem: string): Result => {
  try {
    return parse();
  } catch (error) {
    throw fail('CERTIFICATE_INVALID', { problem }, error);
  }
};
