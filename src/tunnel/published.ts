/**
 * What a published tunnel shows at its host name, and the TLS that it demands (protocol.md 0.1, 7.1, 7.7).
 *
 * Flow: properties.ts refuses what makes no sense; registry.ts asks once for each tunnel; the doorstep obeys, and edge looks again
 * at every request, because an HTTP/2 connection may carry requests for several tunnels.
 * Invariant: pure. Equal demands have equal values, whatever the order and spelling in which agents wrote them.
 */
import { fail } from '../base/errors.ts';
import { TLS_SUITES, type TlsDemands, type TlsSuite, type TlsVersion } from '../base/tls.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';

/** What is at a host name. */
export type Published =
  | {
      readonly kind: 'http';
      readonly demands: TlsDemands;
      /** Whether TLS asks for a client certificate; HTTP says what is wrong with it or with its absence. */
      readonly takesCertificate?: true;
    }
  /** Bytes in TLS that the engine ends; `alpnProtocols` by the agent's preference, empty when nothing is negotiated. */
  | {
      readonly kind: 'terminated';
      readonly demands: TlsDemands;
      readonly alpnProtocols: readonly string[];
      /** Whether TLS needs a client certificate. */
      readonly takesCertificate?: true;
    }
  /** TLS that only the upstream can read. */
  | { readonly kind: 'passthrough' };

const VERSIONS: Readonly<Record<string, TlsVersion>> = { 'tls1.2': 'TLSv1.2', 'tls1.3': 'TLSv1.3' };

/**
 * @param wanted complete: with the defaults of properties.ts
 * @param versionMin the engine's own, for a tunnel that asks for none
 * @returns undefined for a tunnel without a host name
 * @throws PROPERTIES_INVALID when tls_ciphers names what is not spoken, or nothing that could be used, or tls_alpns what is no name
 */
export const publishedFrom = (
  wanted: Readonly<TunnelProperties>,
  versionMin: TlsVersion,
): Published | undefined => {
  if (!wanted.publish || wanted.protocol === 'tcp') return undefined;
  if (wanted.tlsMode === 'passthrough') return Object.freeze({ kind: 'passthrough' });
  const demands = demandsFrom(wanted, versionMin);
  const certificate = wanted.mtlsAuth ? ({ takesCertificate: true } as const) : {};
  // An HTTP tunnel may give tls_alpns; they mean nothing, as the HTTPS edge always offers its own (protocol.md 7.7).
  return Object.freeze(
    wanted.protocol === 'tls'
      ? {
          kind: 'terminated',
          demands,
          alpnProtocols: alpnProtocolsFrom(wanted.tlsAlpns ?? []),
          ...certificate,
        }
      : { kind: 'http', demands, ...certificate },
  );
};

const invalid = (problem: string) => fail('PROPERTIES_INVALID', { problem });

/**
 * As OpenSSL and nginx have it, a list of TLS 1.2 suites says nothing of TLS 1.3, whose suites are all good; naming one of TLS 1.3
 * chooses among those too. A list of TLS 1.3 suites alone leaves TLS 1.2 without any, and so shuts it out.
 */
const demandsFrom = (
  { tlsMinVersion, tlsCiphers }: Readonly<TunnelProperties>,
  engineVersionMin: TlsVersion,
): TlsDemands => {
  const versionMin = VERSIONS[tlsMinVersion ?? ''] ?? engineVersionMin;
  if (tlsCiphers === undefined) return Object.freeze({ versionMin });
  const named = new Set(tlsCiphers.map(suiteFrom));
  const isNamed = (version: TlsVersion) => [...named].some((suite) => suite.version === version);
  if (versionMin === 'TLSv1.3' && !isNamed('TLSv1.3'))
    throw invalid('tls_ciphers names TLS 1.2 suites only, and the TLS minimum of this tunnel is 1.3');
  const isOpenTo13 = !isNamed('TLSv1.3');
  const floor = isNamed('TLSv1.2') ? versionMin : 'TLSv1.3';
  const suites = TLS_SUITES.filter(
    (suite) => suite.version >= floor && (named.has(suite) || (isOpenTo13 && suite.version === 'TLSv1.3')),
  );
  const isEverySuite = suites.length === TLS_SUITES.filter(({ version }) => version >= floor).length;
  return Object.freeze({ versionMin: floor, ...(!isEverySuite && { suites: Object.freeze(suites) }) });
};

const suiteFrom = (entry: string): TlsSuite => {
  const found = TLS_SUITES.find(({ name, openSslName }) => name === entry || openSslName === entry);
  if (!found)
    throw invalid(
      `tls_ciphers names ${entry}, which is not one of ${TLS_SUITES.map(({ name }) => name).join(', ')}`,
    );
  return found;
};

// A protocol's name is bytes on the wire (RFC 7301 3.1), and every registered one is ASCII: no two readings of it.
const ALPN_NAME = /^[\x21-\x7e]+$/;

const alpnProtocolsFrom = (entries: readonly string[]): readonly string[] => {
  if (!entries.every((entry) => ALPN_NAME.test(entry)))
    throw invalid('tls_alpns has an entry that is not printable ASCII');
  return Object.freeze([...entries]);
};
