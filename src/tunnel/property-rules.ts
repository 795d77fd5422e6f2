/**
 * The rules that a requested tunnel has to meet, as tables: protocol.md 7.2 and 7.7 with the decisions of 0.1.
 *
 * Flow: properties.ts applies them, in the order of this file.
 * Invariant: what this engine does not enforce it does not accept. To lift a refusal, enforce the feature and delete its row.
 */
import type { ProxyVersion } from '../base/proxy-protocol.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { ResolvedProperties } from './tunnel.ts';

type Key = keyof TunnelProperties;
type Claim = (wanted: ResolvedProperties) => boolean;

/** Every value that the protocol knows, those that this engine refuses included. */
export const KNOWN_VALUES = [
  ['type', ['bytestream', 'datagram']],
  ['protocol', ['http', 'tls', 'tcp', 'dtls', 'quic', 'webtty']],
  ['tlsMode', ['terminated', 'passthrough']],
  ['tlsMinVersion', ['tls1.2', 'tls1.3']],
  ['httpVersion', ['http/1.1', 'h2c', 'h2', 'h3']],
] as const satisfies (readonly [Key, readonly string[]])[];

/** The label that asks for a PROXY header towards the upstream, and the versions that it may name. */
export const PROXY_PROTOCOL_LABEL = 'rstream.proxy-protocol';
const PROXY_PROTOCOL_VERSIONS: readonly string[] = ['v1', 'v2'] satisfies ProxyVersion[];

const asksForProxyHeader: Claim = (p) => p.labels?.[PROXY_PROTOCOL_LABEL] !== undefined;

/** The label that names what an HTTP tunnel is probed by: a path, with its query, that the service answers to GET. */
export const PROBE_PATH_LABEL = 'rstream.probe-path';

/** The label by which a tunnel is not probed: for services that write every connection down, and agents that take one stream and leave. */
export const PROBE_LABEL = 'rstream.probe';

/** Whether the agent of a tunnel has asked not to be probed. */
export const isProbeRefused: Claim = (p) => p.labels?.[PROBE_LABEL] === 'off';

const probePathOf = (p: ResolvedProperties): string | undefined => p.labels?.[PROBE_PATH_LABEL];

/** Something that an agent may ask for and not get. */
export interface Feature {
  readonly name: string;
  readonly isWanted: Claim;
}

/** Outside this edition, whatever else is asked for. */
export const NEVER_AVAILABLE: readonly Feature[] = [
  { name: 'rstream Auth (rstream_auth)', isWanted: (p) => p.rstreamAuth === true },
  { name: 'Challenge mode (challenge_mode)', isWanted: (p) => p.challengeMode === true },
  { name: 'WebTTY (protocol webtty)', isWanted: (p) => p.protocol === 'webtty' },
  { name: 'QUIC (protocol quic)', isWanted: (p) => p.protocol === 'quic' },
  { name: 'DTLS (protocol dtls)', isWanted: (p) => p.protocol === 'dtls' },
  { name: 'HTTP/3 (http_version h3)', isWanted: (p) => p.httpVersion === 'h3' },
];

/** Accepted on private tunnels, whose bytes are relayed untouched, and not yet on published ones. */
export const NOT_YET_PUBLISHED: readonly Feature[] = [
  { name: 'Publishing datagrams (type datagram)', isWanted: (p) => p.type === 'datagram' },
  {
    name: 'An authority of its own for client certificates (mtls_cacert_pem)',
    isWanted: (p) => p.mtlsCacertPem !== undefined,
  },
];

interface Exclusion {
  readonly what: string;
  readonly applies: Claim;
  readonly excludes: readonly Key[];
}

/** Combinations that mean nothing (protocol.md 7.2, 7.7). An explicit false is always accepted: it asks for nothing. */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    what: 'A private tunnel',
    applies: (p) => !p.publish,
    excludes: [
      'geoip',
      'trustedIps',
      'tlsMode',
      'tlsMinVersion',
      'tlsCiphers',
      'mtlsAuth',
      'mtlsCacertPem',
      'tokenAuth',
      'rstreamAuth',
      'challengeMode',
      'hostname',
      'port',
    ],
  },
  {
    what: 'Protocol tcp',
    applies: (p) => p.protocol === 'tcp',
    excludes: [
      'hostname',
      'tlsMode',
      'tlsAlpns',
      'tlsMinVersion',
      'tlsCiphers',
      'mtlsAuth',
      'mtlsCacertPem',
      'httpVersion',
      'upstreamTls',
      'datagramGuaranteedDelivery',
      'tokenAuth',
    ],
  },
  { what: 'Any protocol but tcp', applies: (p) => p.protocol !== 'tcp', excludes: ['port'] },
  { what: 'Protocol tls', applies: (p) => p.protocol === 'tls', excludes: ['httpVersion', 'tokenAuth'] },
  {
    what: 'TLS passthrough',
    applies: (p) => p.tlsMode === 'passthrough',
    excludes: ['tlsMinVersion', 'tlsCiphers', 'tlsAlpns', 'upstreamTls', 'mtlsAuth', 'mtlsCacertPem'],
  },
  {
    what: 'Type bytestream',
    applies: (p) => p.type === 'bytestream',
    excludes: ['datagramGuaranteedDelivery'],
  },
  {
    // Which version is spoken is then settled between engine and upstream by ALPN.
    what: 'A published tunnel with upstream_tls',
    applies: (p) => p.publish && p.upstreamTls === true,
    excludes: ['httpVersion'],
  },
];

/** What one property needs of another. */
export const DEMANDS: readonly { readonly problem: string; readonly isBroken: Claim }[] = [
  {
    problem: 'protocol tcp needs publish=true and type bytestream',
    isBroken: (p) => p.protocol === 'tcp' && !(p.publish && p.type === 'bytestream'),
  },
  {
    problem: 'tls_mode passthrough needs protocol tls',
    isBroken: (p) => p.tlsMode === 'passthrough' && p.protocol !== 'tls',
  },
  {
    problem: `the label ${PROXY_PROTOCOL_LABEL} must be ${PROXY_PROTOCOL_VERSIONS.join(' or ')}`,
    isBroken: (p) =>
      asksForProxyHeader(p) && !PROXY_PROTOCOL_VERSIONS.includes(p.labels?.[PROXY_PROTOCOL_LABEL] ?? ''),
  },
  {
    // Requests of many downstreams share a connection to the upstream, so the header could not be true.
    problem: `the label ${PROXY_PROTOCOL_LABEL} is not for protocol http: X-Forwarded-For tells the address there`,
    isBroken: (p) => asksForProxyHeader(p) && p.protocol === 'http',
  },
  {
    problem: `the label ${PROXY_PROTOCOL_LABEL} needs type bytestream`,
    isBroken: (p) => asksForProxyHeader(p) && p.type !== 'bytestream',
  },
  {
    problem: `the label ${PROBE_PATH_LABEL} must be a path of printable ASCII, /health for example`,
    isBroken: (p) => !/^\/[\x21\x22\x24-\x7e]*$/.test(probePathOf(p) ?? '/'),
  },
  {
    problem: `the label ${PROBE_PATH_LABEL} is for protocol http alone`,
    isBroken: (p) => probePathOf(p) !== undefined && p.protocol !== 'http',
  },
  {
    problem: `the label ${PROBE_LABEL} must be off`,
    isBroken: (p) => p.labels?.[PROBE_LABEL] !== undefined && !isProbeRefused(p),
  },
  { problem: 'port must lie between 1 and 65535', isBroken: (p) => p.port === 0 || (p.port ?? 1) > 65_535 },
];
