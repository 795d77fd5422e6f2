/**
 * The rules of the operator: they bind every published tunnel, and a tunnel that cannot meet them is not opened.
 *
 * Flow: engine.ts maps the configuration's `policy` section; the registry asks {@link objectionTo} before it opens a tunnel, policy.ts
 * whenever rules change.
 * Invariant: an objection names the setting that forbids, and nothing is forbidden to private tunnels.
 */
import { readRange } from '../base/ip.ts';
import type { TlsVersion } from '../base/tls.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';

export interface EngineRules {
  readonly requiresAuthentication: boolean;
  readonly publishedProtocols: readonly string[];
  readonly tlsVersionMin?: TlsVersion | undefined;
  readonly requiresPostQuantum: boolean;
  /** Everybody when empty. */
  readonly trustedIps: readonly string[];
  /** In upper case; everybody when empty. */
  readonly geoip: readonly string[];
  /** Whether tunnels may ask for ranges of every address. */
  readonly allowsAny: boolean;
  /** Whether countries can be known. */
  readonly hasGeoipDatabase: boolean;
}

/** What a tunnel asks for, its defaults filled in. */
export type AskedProperties = Readonly<TunnelProperties>;

type Objection = (properties: AskedProperties, rules: EngineRules) => string | undefined;

/** Why the rules forbid a tunnel, as words that follow "forbids the tunnel:"; undefined when they do not. */
export const objectionTo: Objection = (properties, rules) => {
  if (!properties.publish) return undefined;
  for (const objection of OBJECTIONS) {
    const sentence = objection(properties, rules);
    if (sentence !== undefined) return sentence;
  }
  return undefined;
};

/** Tunnels whose TLS, if there is any, ends behind the agent: nothing of it can be seen or demanded. */
const isOpaque = ({ protocol, tlsMode }: AskedProperties): boolean =>
  protocol === 'tcp' || tlsMode === 'passthrough';

const kindOf = ({ protocol, tlsMode }: AskedProperties): string =>
  tlsMode === 'passthrough' ? 'TLS passthrough' : `protocol ${protocol}`;

const protocolObjection: Objection = (properties, { publishedProtocols }) =>
  publishedProtocols.some((protocol) => protocol === properties.protocol)
    ? undefined
    : `protocol ${properties.protocol} is not in policy.published_protocols`;

const authenticationObjection: Objection = (properties, { requiresAuthentication }) => {
  if (!requiresAuthentication) return undefined;
  if (isOpaque(properties))
    return `policy.require_authentication is on, and ${kindOf(properties)} has no authentication at the edge`;
  return properties.tokenAuth || properties.mtlsAuth
    ? undefined
    : 'policy.require_authentication is on, and the tunnel asks for none (token_auth, mtls_auth)';
};

/** As properties and configuration spell them; they compare as texts do. */
const TLS_VERSION_WORDS = { 'TLSv1.2': 'tls1.2', 'TLSv1.3': 'tls1.3' } as const satisfies Record<
  TlsVersion,
  string
>;

const tlsVersionObjection: Objection = (properties, { tlsVersionMin }) => {
  const { tlsMinVersion } = properties;
  if (tlsVersionMin === undefined) return undefined;
  const min = TLS_VERSION_WORDS[tlsVersionMin];
  if (isOpaque(properties))
    return `policy.tls_min_version is ${min}, which the engine cannot enforce on ${kindOf(properties)}`;
  return tlsMinVersion !== undefined && tlsMinVersion < min
    ? `tls_min_version ${tlsMinVersion} is below policy.tls_min_version, which is ${min}`
    : undefined;
};

const postQuantumObjection: Objection = (properties, { requiresPostQuantum }) =>
  requiresPostQuantum && isOpaque(properties)
    ? `policy.post_quantum is require, which the engine cannot enforce on ${kindOf(properties)}`
    : undefined;

const anyAddressObjection: Objection = ({ trustedIps = [] }, { allowsAny }) => {
  if (allowsAny) return undefined;
  const range = trustedIps.find((text) => {
    const reading = readRange(text);
    return 'range' in reading && reading.isEverything;
  });
  return range && `trusted_ips: ${range} covers every address, and policy.allow_any is off`;
};

const geoipObjection: Objection = ({ geoip = [] }, { hasGeoipDatabase }) =>
  geoip.length > 0 && !hasGeoipDatabase
    ? 'geoip: the engine has no database of countries (geoip.database)'
    : undefined;

const OBJECTIONS: readonly Objection[] = [
  protocolObjection,
  authenticationObjection,
  tlsVersionObjection,
  postQuantumObjection,
  anyAddressObjection,
  geoipObjection,
];
