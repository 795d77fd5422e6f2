/**
 * What an agent asks for, judged and completed: protocol.md 7 with the decisions of 0.1.
 *
 * Flow: registry.open -> resolveProperties -> tunnel.ts adds id, date and address -> the reply, which clients show as it is.
 * Invariant: pure; a request that passes is accepted as a whole, and what it asks for is enforced.
 * Limits: tunnelNameCharsMax, hostnameCharsMax, labels*, listEntries*, propertiesBytesMax.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import { geoipFrom, trustedIpsFrom } from './access-lists.ts';
import {
  DEMANDS,
  EXCLUSIONS,
  type Feature,
  KNOWN_VALUES,
  NEVER_AVAILABLE,
  NOT_YET_PUBLISHED,
} from './property-rules.ts';
import type { ResolvedProperties } from './tunnel.ts';

type Key = keyof TunnelProperties;

/** The engine's own to give; clients may echo them from an earlier reply. */
const READ_ONLY: readonly string[] = ['id', 'creationDate'] satisfies Key[];

const LISTS = ['geoip', 'trustedIps', 'tlsAlpns', 'tlsCiphers'] as const satisfies Key[];

/**
 * Completes what an agent asked for with the defaults of protocol.md 7.3.
 * @throws PROPERTIES_INVALID, whose sentence names the property, or FEATURE_NOT_AVAILABLE, which names the feature
 */
export const resolveProperties = (requested: TunnelProperties): ResolvedProperties => {
  const given = withoutUnset(requested);
  refuseValues(given);
  if (given.trustedIps) given.trustedIps = trustedIpsFrom(given.trustedIps);
  if (given.geoip) given.geoip = geoipFrom(given.geoip);
  const resolved = withDefaults(given);
  refuseFeatures(NEVER_AVAILABLE, resolved);
  refuseCombinations(resolved);
  if (resolved.publish) refuseFeatures(NOT_YET_PUBLISHED, resolved);
  return resolved;
};

/** Empty means unset, since docker labels and flags often come empty. The two deprecated spellings end here. */
const withoutUnset = (requested: TunnelProperties): TunnelProperties => {
  const given: TunnelProperties = Object.fromEntries(
    Object.entries(requested).filter(([key, value]) => !READ_ONLY.includes(key) && !isEmpty(value)),
  );
  const { host, ...rest } = given;
  // Replies give host as hostname:port, so an agent may send it back with the port.
  if (host !== undefined) rest.hostname ??= host.replace(/:\d{1,5}$/, '');
  if (given.upstreamTls !== undefined || given.httpUseTls !== undefined) {
    rest.upstreamTls = given.upstreamTls === true || given.httpUseTls === true;
    rest.httpUseTls = rest.upstreamTls;
  }
  return rest;
};

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

const withDefaults = (given: TunnelProperties): ResolvedProperties => {
  const publish = given.publish ?? true;
  const resolved: TunnelProperties = { ...given, publish, type: given.type ?? 'bytestream' };
  if (publish) resolved.protocol ??= 'http';
  if (publish && resolved.protocol === 'http' && !resolved.upstreamTls) resolved.httpVersion ??= 'http/1.1';
  if (publish && resolved.protocol === 'tls') resolved.tlsMode ??= 'terminated';
  if (given.labels) resolved.labels = Object.freeze({ ...given.labels });
  // Frozen, though the type says mutable: wire's encoder takes the type of a request.
  for (const key of LISTS) if (given[key]) resolved[key] = Object.freeze([...given[key]]) as string[];
  return Object.freeze(resolved) as ResolvedProperties;
};

const invalid = (problem: string) => fail('PROPERTIES_INVALID', { problem });

const refuseValues = (given: TunnelProperties): void => {
  for (const [key, values] of KNOWN_VALUES) {
    const value: string | undefined = given[key];
    if (value !== undefined && !values.some((known) => known === value))
      throw invalid(`${wireName(key)} must be one of ${values.join(', ')}`);
  }
  refuseText('name', given.name, LIMITS.tunnelNameCharsMax);
  refuseText('hostname', given.hostname, LIMITS.hostnameCharsMax);
  for (const key of LISTS) {
    if ((given[key]?.length ?? 0) > LIMITS.listEntriesMax)
      throw invalid(`${wireName(key)} has more than ${LIMITS.listEntriesMax} entries`);
    for (const entry of given[key] ?? []) {
      if (entry === '') throw invalid(`${wireName(key)} has an empty entry`);
      refuseText(`an entry of ${wireName(key)}`, entry, LIMITS.listEntryCharsMax);
    }
  }
  refuseLabels(Object.entries(given.labels ?? {}));
  if (Buffer.byteLength(JSON.stringify(given)) > LIMITS.propertiesBytesMax)
    throw invalid(`all properties together exceed ${LIMITS.propertiesBytesMax} bytes`);
};

const refuseLabels = (labels: readonly [string, string][]): void => {
  if (labels.length > LIMITS.labelsMax) throw invalid(`there are more than ${LIMITS.labelsMax} labels`);
  for (const [key, value] of labels) {
    if (key === '') throw invalid('a label has an empty key');
    refuseText('the key of a label', key, LIMITS.labelKeyCharsMax);
    if (value.length > LIMITS.labelValueCharsMax)
      throw invalid(`the value of a label is longer than ${LIMITS.labelValueCharsMax} characters`);
  }
};

// C0 and C1 controls: these texts end up in terminals.
const CONTROL_CHARACTER = /\p{Cc}/u;

const refuseText = (what: string, text: string | undefined, charsMax: number): void => {
  if (text === undefined) return;
  if (text.length > charsMax) throw invalid(`${what} is longer than ${charsMax} characters`);
  if (CONTROL_CHARACTER.test(text)) throw invalid(`${what} contains a control character`);
};

const refuseFeatures = (features: readonly Feature[], resolved: ResolvedProperties): void => {
  const wanted = features.find((feature) => feature.isWanted(resolved));
  if (wanted) throw fail('FEATURE_NOT_AVAILABLE', { feature: wanted.name });
};

const refuseCombinations = (resolved: ResolvedProperties): void => {
  for (const { what, applies, excludes } of EXCLUSIONS) {
    if (!applies(resolved)) continue;
    const key = excludes.find((candidate) => (resolved[candidate] ?? false) !== false);
    if (key) throw invalid(`${what} cannot be combined with ${wireName(key)}`);
  }
  const broken = DEMANDS.find(({ isBroken }) => isBroken(resolved));
  if (broken) throw invalid(broken.problem);
};

/** The name of a property in the protocol, which is the one that users know: `tlsMinVersion` is `tls_min_version`. */
const wireName = (key: Key): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
