/**
 * Where the operator's rules are looked at, tried and changed while the engine runs.
 *
 * Flow: api/admin/policy-routes.ts asks; a draft is read by the configuration's own rules, tried by policy-replay.ts, and saved into the
 * configuration file, which is then put into force as SIGHUP does.
 * Invariant: the file stays the one home of the rules: nothing is in force that it does not say. What the environment sets is not changed.
 */
import { EngineError, fail } from './base/errors.ts';
import { LIMITS } from './base/limits.ts';
import type { Clock } from './base/time.ts';
import type { ConfigFile } from './cli/config-file.ts';
import { changeFrom } from './cli/reload.ts';
import { configFromObject } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { withSettings } from './config/yaml-edit.ts';
import { yamlFrom } from './config/yaml-source.ts';
import type { Policies } from './edge/policies.ts';
import type { RecordsSearch } from './observe/records-search.ts';
import { type EngineRules, objectionTo } from './policy/engine-rules.ts';
import { auditPolicyChanges, policyChanges } from './policy-changes.ts';
import { replayRecords } from './policy-replay.ts';
import type { AuditLog } from './store/audit.ts';
import type { AuditActors } from './store/audit-actor.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';

export interface PolicyDeskNeeds {
  readonly clock: Clock;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly actors: AuditActors;
  readonly registry: Pick<TunnelRegistry, 'list'>;
  readonly policies: Pick<Policies, 'preview'>;
  readonly recordsSearch: RecordsSearch;
  /** Absent where the engine was started without a file. */
  readonly configFile: ConfigFile | undefined;
  countryOf(address: string): string | undefined;
  /** What is in force. */
  running(): Config;
}

type Draft = Readonly<Record<string, unknown>>;
type Policy = Config['policy'];

const TLS_VERSIONS = { 'tls1.2': 'TLSv1.2', 'tls1.3': 'TLSv1.3' } as const;

/** What the configuration demands of every published tunnel. */
export const engineRulesFrom = ({ policy, geoip }: Pick<Config, 'policy' | 'geoip'>): EngineRules => ({
  requiresAuthentication: policy.require_authentication,
  publishedProtocols: policy.published_protocols,
  tlsVersionMin: policy.tls_min_version && TLS_VERSIONS[policy.tls_min_version],
  requiresPostQuantum: policy.post_quantum === 'require',
  trustedIps: policy.trusted_ips,
  geoip: policy.geoip,
  allowsAny: policy.allow_any,
  hasGeoipDatabase: geoip.database !== undefined,
});

export const createPolicyDesk = (needs: PolicyDeskNeeds) => {
  const { registry, policies, recordsSearch, configFile } = needs;
  const overridden = (configFile?.overridden ?? []).filter((key) => key.startsWith('policy.'));

  const read = (draft: Draft): Policy => {
    const policy = policyFrom(draft, needs.running());
    const changed = policyChanges(needs.running().policy, policy).find(({ key }) => overridden.includes(key));
    if (changed)
      throw fail('POLICY_DRAFT_INVALID', {
        faults: `${changed.key} is set by the environment of the engine`,
      });
    return policy;
  };

  const dryRun = async (draft: Draft, isWanted: () => boolean) => {
    const running = needs.running();
    const policy = read(draft);
    const after = engineRulesFrom({ ...running, policy });
    const openTunnels = registry.list().filter(({ properties }) => properties.publish);
    const before = engineRulesFrom(running);
    const wouldCut = policies.preview(after);
    return {
      changes: policyChanges(running.policy, policy),
      pending: changeFrom(running, { ...running, policy }).pending,
      records: recordsSearch.isOn
        ? await replayRecords(
            { ...needs, recordsSearch, openTunnels, nowMs: needs.clock.now(), isWanted },
            { before, after },
          )
        : undefined,
      tunnels: openTunnels.flatMap((tunnel) => {
        const problem = objectionTo(tunnel.properties, after);
        return problem === undefined ? [] : [{ tunnel, problem }];
      }),
      connections: { items: wouldCut.slice(0, LIMITS.policyReplayGroupsMax), count: wouldCut.length },
      yaml: yamlFrom({ policy }),
    };
  };

  return {
    /** What is in force, and whether it can be changed from here. */
    view() {
      const running = needs.running();
      const file = configFile && contentOf(configFile);
      return {
        policy: running.policy,
        hasGeoipDatabase: running.geoip.database !== undefined,
        hasRecords: recordsSearch.isOn,
        overridden,
        file: configFile?.path,
        hash: file?.hash ?? '',
        unloaded: file ? unloadedIn(file.config, running) : [],
        writeProblem: configFile
          ? (file?.problem ?? configFile.writeProblem())
          : 'the engine was started without a configuration file',
      };
    },

    dryRun,

    /**
     * Writes a draft into the configuration file and puts it into force.
     * @param hash of the file as the draft's author saw it
     * @throws POLICY_DRAFT_INVALID, VERSION_OUTDATED, CONFIG_NOT_WRITABLE, CONFIG_INVALID
     */
    save(draft: Draft, hash: string) {
      const policy = read(draft);
      if (!configFile)
        throw fail('CONFIG_NOT_WRITABLE', { problem: 'the engine was started without a configuration file' });
      const { text, hash: present, config } = configFile.read();
      if (present !== hash) throw fail('VERSION_OUTDATED');
      const changes = policyChanges(config.policy, policy);
      const names = new Set(changes.map(({ key }) => key.replace('policy.', '')));
      const settings = Object.fromEntries([...names].map((name) => [name, policy[name as keyof Policy]]));
      if (changes.length > 0) configFile.write(withSettings(text, 'policy', settings), hash);
      auditPolicyChanges(needs, 'policy.save', changes);
      const { pending } = configFile.reload();
      return { changes, pending };
    },
  };
};
export type PolicyDesk = ReturnType<typeof createPolicyDesk>;

/** A draft, read by the rules of the configuration. Throws POLICY_DRAFT_INVALID. */
const policyFrom = (draft: Draft, { engine, geoip }: Config): Policy => {
  const pair = { cert_file: 'unused', key_file: 'unused' };
  try {
    return configFromObject(
      { engine: { host: engine.host }, certs: { static: pair }, geoip, policy: draft },
      { dir: '/' },
    ).policy;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw fail('POLICY_DRAFT_INVALID', { faults: error.details.faults }, error);
  }
};

/** Settings that the file has and the engine does not: somebody has not told it, or they wait for a start. */
const unloadedIn = (file: Config, running: Config): readonly string[] => {
  const { changed, pending } = changeFrom(running, file);
  return [...changed, ...pending];
};

/** A file with faults is no reason not to show what is in force. */
const contentOf = (configFile: ConfigFile) => {
  try {
    return { ...configFile.read(), problem: undefined };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { hash: '', config: configFile.running(), problem: error.message };
  }
};
