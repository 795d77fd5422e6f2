/**
 * The TLS that this engine speaks, and what a tunnel may demand of it: the words that socket, tunnel and edge share.
 *
 * Invariant: a suite that is not in this table is never negotiated, whoever asks for it.
 */

/** The versions that are spoken; nothing older is. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** One cipher suite. */
export interface TlsSuite {
  /** IANA's name, which a connection reports. */
  readonly name: string;
  /** OpenSSL's; the same as IANA's from TLS 1.3 on. */
  readonly openSslName: string;
  readonly version: TlsVersion;
}

const suite = (name: string, openSslName = name): TlsSuite => ({
  name,
  openSslName,
  version: name === openSslName ? 'TLSv1.3' : 'TLSv1.2',
});

/** TLS 1.3's suites, and of TLS 1.2 those with forward secrecy and AEAD (RFC 9325 4.2). */
export const TLS_SUITES: readonly TlsSuite[] = [
  suite('TLS_AES_128_GCM_SHA256'),
  suite('TLS_AES_256_GCM_SHA384'),
  suite('TLS_CHACHA20_POLY1305_SHA256'),
  suite('TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  suite('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'),
  suite('TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
  suite('TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'),
  suite('TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
  suite('TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'),
];

/** What a connection must have negotiated before it may reach a tunnel. */
export interface TlsDemands {
  readonly versionMin: TlsVersion;
  /** The suites that may be used, in the order of {@link TLS_SUITES}; all of them when absent. */
  readonly suites?: readonly TlsSuite[];
}
