/**
 * The policies of the tunnels that are open: who may reach them, asked for each connection and request, and again when that changes.
 *
 * Flow: engine.ts hands in the operator's rules, and has the registry ask `admit`; exchange.ts and what relays raw bytes call `judge`
 * before anything goes upstream, then `follow` for as long as something runs.
 * Invariant: what runs is allowed: when rules, or the countries of addresses, change, what no longer is ends at once. Private tunnels are
 * dialled with a credential and have no policy.
 */
import { type EngineError, fail } from '../base/errors.ts';
import type { TunnelId } from '../base/ids.ts';
import { type AskedProperties, type EngineRules, objectionTo } from '../policy/engine-rules.ts';
import { compilePolicy, type Policy } from '../policy/policy.ts';
import type { ConnectionFacts } from '../policy/verdict.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';

export interface PoliciesNeeds {
  readonly registry: Pick<TunnelRegistry, 'onOpened' | 'onClosed' | 'list'>;
  /** ISO 3166-1 alpha-2 of an address; undefined when it is not known, which denies where a country is asked for. */
  countryOf(address: string): string | undefined;
}

export interface Policies {
  /**
   * Whether a tunnel may be opened.
   * @throws POLICY_FORBIDS
   */
  admit(properties: AskedProperties): void;
  /**
   * Whether a connection may reach a published tunnel.
   * @returns ADDRESS_FORBIDDEN, COUNTRY_FORBIDDEN, TLS_FORBIDDEN, TUNNEL_FORBIDDEN, or AGENT_GONE when the tunnel is not open;
   * undefined when it may
   */
  judge(tunnel: Tunnel, connection: ConnectionFacts): EngineError | undefined;
  /**
   * Keeps judging something that runs and was allowed.
   * @param cut ends it at once; called once at most, and not after the returned function
   * @returns to be called when it is over
   */
  follow(tunnel: Tunnel, connection: ConnectionFacts, cut: (error: EngineError) => void): () => void;
  /** Puts other rules of the operator into force, for what runs as well. */
  replaceRules(rules: EngineRules): void;
  /** Judges everything that is followed again; for when `countryOf` answers otherwise. */
  reevaluate(): void;
  /** What is followed. */
  readonly followedCount: number;
}

interface Followed {
  readonly tunnel: Tunnel;
  readonly connection: ConnectionFacts;
  readonly cut: (error: EngineError) => void;
}

/** Follows the registry from now on; create it before the first tunnel opens. */
export const createPolicies = (
  { registry, countryOf }: PoliciesNeeds,
  engineRules: EngineRules,
): Policies => {
  const byTunnel = new Map<TunnelId, Policy>();
  const followed = new Set<Followed>();
  let rules = engineRules;

  const policyOf = ({ properties, published }: Tunnel): Policy =>
    compilePolicy(properties, rules, published && 'demands' in published ? published.demands : undefined);
  const compile = (tunnel: Tunnel) => {
    if (tunnel.properties.publish) byTunnel.set(tunnel.id, policyOf(tunnel));
  };
  registry.onOpened(compile);
  registry.onClosed(({ id }) => byTunnel.delete(id));

  const denialOf = (policy: Policy, connection: ConnectionFacts): EngineError | undefined => {
    const verdict = policy.evaluate(
      policy.needs.country ? { ...connection, country: countryOf(connection.remoteAddress) } : connection,
    );
    return verdict.kind === 'deny' ? fail(verdict.code) : undefined;
  };

  const reevaluate = () => {
    // A copy, as a cut may make room for something new, which has been judged already.
    for (const item of [...followed]) {
      const { tunnel, connection } = item;
      // What runs may outlive its tunnel (protocol.md 5.5), but not the rules.
      const policy = byTunnel.get(tunnel.id) ?? policyOf(tunnel);
      const error = denialOf(policy, connection);
      if (error && followed.delete(item)) item.cut(error);
    }
  };

  return {
    admit(properties) {
      const problem = objectionTo(properties, rules);
      if (problem !== undefined) throw fail('POLICY_FORBIDS', { problem });
    },
    judge({ id }, connection) {
      const policy = byTunnel.get(id);
      return policy ? denialOf(policy, connection) : fail('AGENT_GONE');
    },
    follow(tunnel, connection, cut) {
      const item = { tunnel, connection, cut };
      followed.add(item);
      return () => followed.delete(item);
    },
    replaceRules(replacement) {
      rules = replacement;
      for (const tunnel of registry.list()) compile(tunnel);
      reevaluate();
    },
    reevaluate,
    get followedCount() {
      return followed.size;
    },
  };
};
