/**
 * The policies of the tunnels that are open: who may reach them, asked for each connection and request, and again when that changes.
 *
 * Flow: engine.ts hands in the operator's rules, and has the registry ask `admit`; exchange.ts and what relays raw bytes call `judge`
 * before anything goes upstream, then `follow` for as long as something runs.
 * Invariant: what runs is allowed: when rules, or the countries of addresses, change, what no longer is ends at once, and so does what runs
 * by a credential that is over. Private tunnels are dialled with a credential and have no policy.
 */
import { type EngineError, fail } from '../base/errors.ts';
import type { TunnelId } from '../base/ids.ts';
import { endedProofOf, type Principal } from '../base/principal.ts';
import { type AuthenticationMethods, STREAM_PERMISSION } from '../policy/authentication-rule.ts';
import { type AskedProperties, type EngineRules, objectionTo } from '../policy/engine-rules.ts';
import { compilePolicy, type Policy } from '../policy/policy.ts';
import type { ConnectionFacts, DenialCode, Verdict } from '../policy/verdict.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';

export interface PoliciesNeeds {
  readonly registry: Pick<TunnelRegistry, 'onOpened' | 'onClosed' | 'list'>;
  /** ISO 3166-1 alpha-2 of an address; undefined when it is not known, which denies where a country is asked for. */
  countryOf(address: string): string | undefined;
}

/** An exchange or a raw stream. It is followed as it is: a request costs no object more for it. */
export interface Running {
  readonly tunnel: Tunnel;
  readonly connection: ConnectionFacts;
  /** By whose credential it runs. */
  readonly principal: Principal | undefined;
  /** Ends it at once; called once at most. */
  cut(error: EngineError): void;
}

export interface Policies {
  /**
   * Whether a tunnel may be opened.
   * @throws POLICY_FORBIDS
   */
  admit(properties: AskedProperties): void;
  /**
   * By which proofs a downstream may authenticate itself at a tunnel; undefined where none is asked for.
   */
  methodsOf(tunnel: Tunnel): AuthenticationMethods | undefined;
  /**
   * Whether a connection may reach a published tunnel.
   * @param principal whom it has proved to be, where the tunnel asks for that
   * @returns a {@link DenialCode}'s error, or AGENT_GONE when the tunnel is not open; undefined when it may
   */
  judge(tunnel: Tunnel, connection: ConnectionFacts, principal?: Principal): EngineError | undefined;
  /** Whether everything else allows a connection, and only its proof is wanted; without an error that nobody is told. */
  awaitsProof(tunnel: Tunnel, connection: ConnectionFacts): boolean;
  /** Keeps judging something that runs and was allowed, until `unfollow` or its `cut`. */
  follow(running: Running): void;
  /** It is over; safe to repeat. */
  unfollow(running: Running): void;
  /** Puts other rules of the operator into force, for what runs as well. */
  replaceRules(rules: EngineRules): void;
  /** What is followed now and would be cut by other rules, and why. */
  preview(rules: EngineRules): readonly WouldCut[];
  /** Judges everything that is followed again; for when `countryOf` answers otherwise. */
  reevaluate(): void;
  /** Cuts what runs by a credential that is over; to be called twice a second and after each revocation. */
  recheck(isActive: (principal: Principal) => boolean): void;
  /** What is followed. */
  readonly followedCount: number;
}

/** Something that runs, under rules that are not in force. */
export interface WouldCut {
  readonly tunnel: Tunnel;
  readonly connection: ConnectionFacts;
  readonly error: EngineError;
}

/** Denials of somebody who has proved nothing; authentication is the last rule. */
const WANTS_PROOF: ReadonlySet<DenialCode> = new Set(['TOKEN_MISSING', 'CLIENT_CERTIFICATE_MISSING']);

/** Follows the registry from now on; create it before the first tunnel opens. */
export const createPolicies = (
  { registry, countryOf }: PoliciesNeeds,
  engineRules: EngineRules,
): Policies => {
  const byTunnel = new Map<TunnelId, Policy>();
  const followed = new Set<Running>();
  // Those of them that run by a credential, so that a recheck costs nothing where none does.
  const byCredential = new Set<Running>();
  let rules = engineRules;

  const policyOf = ({ properties, published }: Tunnel, by = rules): Policy =>
    compilePolicy(properties, by, published && 'demands' in published ? published.demands : undefined);
  const compile = (tunnel: Tunnel) => {
    if (tunnel.properties.publish) byTunnel.set(tunnel.id, policyOf(tunnel));
  };
  registry.onOpened(compile);
  registry.onClosed(({ id }) => byTunnel.delete(id));

  const verdictOf = (
    { needs, evaluate }: Policy,
    connection: ConnectionFacts,
    principal: Principal | undefined,
  ): Verdict => {
    if (!needs.country && !needs.proof) return evaluate(connection);
    // Named one by one: a spread of all that is known of a connection costs more than the verdict.
    const { remoteAddress, tlsVersion, cipher, isPostQuantum } = connection;
    const country = needs.country ? countryOf(remoteAddress) : undefined;
    return evaluate({ remoteAddress, tlsVersion, cipher, isPostQuantum, country, principal });
  };
  const denialOf = (...given: Parameters<typeof verdictOf>): EngineError | undefined => {
    const verdict = verdictOf(...given);
    return verdict.kind === 'deny' ? fail(verdict.code, { permission: STREAM_PERMISSION }) : undefined;
  };

  const unfollow = (running: Running): boolean => {
    if (running.principal) byCredential.delete(running);
    return followed.delete(running);
  };

  const reevaluate = () => {
    // A copy, as a cut may make room for something new, which has been judged already.
    for (const running of [...followed]) {
      const { tunnel, connection, principal } = running;
      // What runs may outlive its tunnel (protocol.md 5.5), but not the rules.
      const policy = byTunnel.get(tunnel.id) ?? policyOf(tunnel);
      const error = denialOf(policy, connection, principal);
      if (error && unfollow(running)) running.cut(error);
    }
  };

  return {
    admit(properties) {
      const problem = objectionTo(properties, rules);
      if (problem !== undefined) throw fail('POLICY_FORBIDS', { problem });
    },
    methodsOf: ({ id }) => byTunnel.get(id)?.needs.proof,
    judge({ id }, connection, principal) {
      const policy = byTunnel.get(id);
      return policy ? denialOf(policy, connection, principal) : fail('AGENT_GONE');
    },
    awaitsProof({ id }, connection) {
      const policy = byTunnel.get(id);
      const verdict = policy && verdictOf(policy, connection, undefined);
      return verdict?.kind === 'deny' && WANTS_PROOF.has(verdict.code);
    },
    follow(running) {
      followed.add(running);
      if (running.principal) byCredential.add(running);
    },
    unfollow,
    recheck(isActive) {
      for (const running of [...byCredential]) {
        const { principal } = running;
        if (principal && !isActive(principal) && unfollow(running)) running.cut(endedProofOf(principal));
      }
    },
    replaceRules(replacement) {
      rules = replacement;
      for (const tunnel of registry.list()) compile(tunnel);
      reevaluate();
    },
    preview(draft) {
      const drafted = new Map<Tunnel, Policy>();
      return [...followed].flatMap(({ tunnel, connection, principal }) => {
        const policy = drafted.get(tunnel) ?? policyOf(tunnel, draft);
        drafted.set(tunnel, policy);
        const error = denialOf(policy, connection, principal);
        return error ? [{ tunnel, connection, error }] : [];
      });
    },
    reevaluate,
    get followedCount() {
      return followed.size;
    },
  };
};
