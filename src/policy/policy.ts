/**
 * Judges who may reach a tunnel: its own rules and those of the engine, compiled once and evaluated as often as asked.
 *
 * Flow: edge/policies.ts compiles when a tunnel opens, gathers the facts that the policy needs, and evaluates them for every connection
 * and request, and again when rules or databases change.
 * Invariant: pure. Every rule must allow, whoever made it; what is not known is denied. The order is fixed, so that a denial tells a
 * downstream no more than the first reason: address, country, TLS, and then authentication.
 */

import type { TlsDemands } from '../base/tls.ts';
import { type AuthenticationMethods, authenticationRule } from './authentication-rule.ts';
import { type AskedProperties, type EngineRules, objectionTo } from './engine-rules.ts';
import { addressRule, countryRule } from './network-rules.ts';
import { postQuantumRule, tlsRule } from './tls-rules.ts';
import type { DenialCode, Facts, Rule, Verdict } from './verdict.ts';

export interface Policy {
  /** Facts that somebody has to look up, and by which proofs a principal may be found; undefined where none is asked for. */
  readonly needs: { readonly country: boolean; readonly proof?: AuthenticationMethods | undefined };
  evaluate(facts: Facts): Verdict;
}

const ALLOW: Verdict = Object.freeze({ kind: 'allow' });

const denied = (code: DenialCode): Verdict => ({ kind: 'deny', code });

/**
 * The policy of a published tunnel; one that lets nobody in when the engine's rules forbid the tunnel itself.
 * @param demands on TLS, where the engine ends it
 */
export const compilePolicy = (
  properties: AskedProperties,
  engine: EngineRules,
  demands?: TlsDemands,
): Policy => {
  if (objectionTo(properties, engine) !== undefined)
    return { needs: { country: false }, evaluate: () => denied('TUNNEL_FORBIDDEN') };

  const proof = methodsFrom(properties);
  const countryLists = [engine.geoip, properties.geoip].filter(isAsked);
  const rules: readonly Rule[] = [
    ...[engine.trustedIps, properties.trustedIps].filter(isAsked).map(addressRule),
    ...countryLists.map(countryRule),
    ...(engine.tlsVersionMin ? [tlsRule({ versionMin: engine.tlsVersionMin })] : []),
    ...(demands ? [tlsRule(demands)] : []),
    ...(engine.requiresPostQuantum ? [postQuantumRule] : []),
    ...(proof ? [authenticationRule(proof)] : []),
  ];
  return {
    needs: { country: countryLists.length > 0, proof },
    evaluate(facts) {
      for (const rule of rules) {
        const code = rule(facts);
        if (code !== undefined) return denied(code);
      }
      return ALLOW;
    },
  };
};

const methodsFrom = ({ tokenAuth, mtlsAuth }: AskedProperties): AuthenticationMethods | undefined =>
  tokenAuth || mtlsAuth ? { token: tokenAuth === true, certificate: mtlsAuth === true } : undefined;

/** An empty list is no list: it is how an agent or an operator asks for nothing. */
const isAsked = <Wish extends { readonly length: number }>(wish: Wish | undefined): wish is Wish =>
  wish !== undefined && wish.length > 0;
