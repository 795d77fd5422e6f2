/**
 * The dry run of a policy: the records of the last week, and what runs now, under rules that are not in force.
 *
 * Flow: strides of records -> replay.ts of the policy room, for the tunnel of each -> groups by tunnel and source.
 * Invariant: what a record does not tell is not guessed in favour of anybody: of a tunnel that has closed only what its records show is
 * known, and its own rules are not; the report says which.
 * Limits: policyReplayMs, policyReplayMax, policyReplayGroupsMax.
 */
import type { ErrorCode } from './base/errors.ts';
import { LIMITS } from './base/limits.ts';
import type { RecordsSearch } from './observe/records-search.ts';
import type { EngineRules } from './policy/engine-rules.ts';
import { createReplay } from './policy/replay.ts';
import type { FoundRecord } from './store/record-row.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

/** Records of one source at one tunnel that the rules would change. */
export interface ReplayGroup {
  readonly tunnelId: string;
  readonly tunnelName: string | undefined;
  readonly host: string | undefined;
  readonly address: string;
  readonly country: string | undefined;
  /** Why; absent for who is newly admitted. */
  readonly code?: ErrorCode;
  /** Whether the tunnel is open, so that its own rules are known. */
  readonly isOpen: boolean;
  count: number;
  /** Milliseconds since 1970. */
  firstAt: number;
  lastAt: number;
}

export interface ReplayReport {
  readonly lookedAt: number;
  /** Of the oldest record that was looked at; undefined without any. */
  readonly since: number | undefined;
  /** Whether the week has more records than were looked at. */
  readonly isCut: boolean;
  readonly cutOff: ReplaySide;
  readonly admitted: ReplaySide;
}

/** The groups with the most records, and how many records there are in all. */
export interface ReplaySide {
  readonly groups: readonly ReplayGroup[];
  readonly count: number;
  /** Records of groups that were too many to keep. */
  readonly otherCount: number;
}

export interface PolicyReplayNeeds {
  readonly recordsSearch: Pick<RecordsSearch, 'strides'>;
  readonly nowMs: number;
  readonly openTunnels: readonly Tunnel[];
  countryOf(address: string): string | undefined;
  /** Asked between strides. */
  isWanted(): boolean;
}

/** @throws RECORDS_OFF, RECORDS_BUSY, STORE_UNAVAILABLE */
export const replayRecords = async (
  needs: PolicyReplayNeeds,
  rules: { readonly before: EngineRules; readonly after: EngineRules },
): Promise<ReplayReport> => {
  const { nowMs, countryOf } = needs;
  const judgeFor = judges(needs.openTunnels, rules);
  const sides = { 'cut-off': createSide(), admitted: createSide() };
  let lookedAt = 0;
  let since: number | undefined;
  const query = { fromMs: nowMs - LIMITS.policyReplayMs, limit: LIMITS.policyReplayMax };
  for await (const records of needs.recordsSearch.strides(query)) {
    for (const record of records) {
      const { judge, isOpen } = judgeFor(record) ?? {};
      const country = record.country ?? countryOf(record.address);
      const outcome = judge?.(pastFrom(record, country));
      if (outcome)
        sides[outcome.kind].add(record, outcome.kind === 'cut-off' ? outcome.code : undefined, isOpen);
    }
    lookedAt += records.length;
    since = records.at(-1)?.at ?? since;
    if (!needs.isWanted()) break;
  }
  return {
    lookedAt,
    since,
    isCut: lookedAt >= LIMITS.policyReplayMax,
    cutOff: sides['cut-off'].report(),
    admitted: sides.admitted.report(),
  };
};

const pastFrom = (record: FoundRecord, country: string | undefined) => ({
  facts: {
    remoteAddress: record.address,
    tlsVersion: record.tls_version ?? undefined,
    cipher: record.cipher ?? undefined,
    isPostQuantum: record.post_quantum === null ? undefined : record.post_quantum === 1,
    country,
  },
  wasAllowed: record.decision === 'allowed',
  hadProof: record.dialer_credential_id !== null,
});

/** Finds who judges a record; nobody judges private streams, what an admin has sent again, and what found no tunnel. */
const judges = (
  openTunnels: readonly Tunnel[],
  rules: { readonly before: EngineRules; readonly after: EngineRules },
) => {
  const open = new Map<string, Tunnel>(openTunnels.map((tunnel) => [tunnel.id, tunnel]));
  const known = new Map<string, { judge: ReturnType<typeof createReplay>; isOpen: boolean }>();
  return (record: FoundRecord) => {
    const isPublished = record.kind === 'stream' || (record.kind === 'exchange' && record.tls_version);
    if (!record.tunnel_id || !isPublished) return undefined;
    const tunnel = open.get(record.tunnel_id);
    if (tunnel && !tunnel.properties.publish) return undefined;
    const properties = tunnel?.properties ?? propertiesFrom(record);
    const key = tunnel?.id ?? JSON.stringify(properties);
    const found = known.get(key);
    if (found) return found;
    const published = tunnel?.published;
    const demands = published && 'demands' in published ? published.demands : undefined;
    const made = { judge: createReplay(properties, demands, rules), isOpen: tunnel !== undefined };
    known.set(key, made);
    return made;
  };
};

/** As much as a record shows of a tunnel that has closed; few values, so that few are compiled. */
const propertiesFrom = (record: FoundRecord) => {
  const hasTls = record.tls_version !== null;
  const protocol = record.kind === 'exchange' ? 'http' : record.server_name || hasTls ? 'tls' : 'tcp';
  return {
    publish: true,
    protocol,
    ...(protocol === 'tls' && { tlsMode: hasTls ? 'terminated' : 'passthrough' }),
    tokenAuth: record.dialer_credential_id !== null,
  };
};

const createSide = () => {
  const groups = new Map<string, ReplayGroup>();
  let count = 0;
  let otherCount = 0;
  return {
    add(record: FoundRecord, code: ErrorCode | undefined, isOpen = false): void {
      count += 1;
      // An agent that reconnects opens its tunnel anew.
      const key = `${record.tunnel_name ?? record.host ?? record.tunnel_id} ${record.address} ${code}`;
      const group = groups.get(key);
      if (group) {
        group.count += 1;
        group.firstAt = Math.min(group.firstAt, record.at);
        group.lastAt = Math.max(group.lastAt, record.at);
      } else if (groups.size < LIMITS.policyReplayGroupsMax) groups.set(key, groupFrom(record, code, isOpen));
      else otherCount += 1;
    },
    report: (): ReplaySide => ({
      groups: [...groups.values()].sort((a, b) => b.count - a.count),
      count,
      otherCount,
    }),
  };
};

const groupFrom = (record: FoundRecord, code: ErrorCode | undefined, isOpen: boolean): ReplayGroup => ({
  tunnelId: record.tunnel_id ?? '',
  tunnelName: record.tunnel_name ?? undefined,
  host: record.host ?? undefined,
  address: record.address,
  country: record.country ?? undefined,
  ...(code && { code }),
  isOpen,
  count: 1,
  firstAt: record.at,
  lastAt: record.at,
});
