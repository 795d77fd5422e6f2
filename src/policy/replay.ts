/**
 * What other rules of the operator would have made of a connection that is over: the same policies, compiled twice.
 *
 * Invariant: pure, like the judgement that it repeats. Only what the rules change is told: who is denied by both is not cut off by the new.
 */
import type { Principal } from '../base/principal.ts';
import type { TlsDemands } from '../base/tls.ts';
import type { AskedProperties, EngineRules } from './engine-rules.ts';
import { compilePolicy } from './policy.ts';
import type { DenialCode, Facts } from './verdict.ts';

/** What is known of a connection that is over. */
export interface PastConnection {
  readonly facts: Omit<Facts, 'principal'>;
  /** Whether it was let in. */
  readonly wasAllowed: boolean;
  /** Whether it had proved to be somebody; by whatever its tunnel asks for. */
  readonly hadProof: boolean;
}

/** Denied by the new rules alone, with their reason, or by the old ones alone. */
export type ReplayOutcome =
  | { readonly kind: 'cut-off'; readonly code: DenialCode }
  | { readonly kind: 'admitted' }
  | undefined;

/**
 * Compares two sets of rules for one tunnel.
 * @param demands of the tunnel on TLS, where they are known
 */
export const createReplay = (
  properties: AskedProperties,
  demands: TlsDemands | undefined,
  { before, after }: { readonly before: EngineRules; readonly after: EngineRules },
): ((past: PastConnection) => ReplayOutcome) => {
  const old = compilePolicy(properties, before, demands);
  const next = compilePolicy(properties, after, demands);
  const proved: Principal = {
    credentialId: '',
    kind: properties.mtlsAuth && !properties.tokenAuth ? 'certificate' : 'pat',
    permissions: null,
  };
  return ({ facts, wasAllowed, hadProof }) => {
    const all = { ...facts, principal: hadProof ? proved : undefined };
    const [was, will] = [old.evaluate(all), next.evaluate(all)];
    if (was.kind === 'allow' && will.kind === 'deny' && wasAllowed)
      return { kind: 'cut-off', code: will.code };
    return was.kind === 'deny' && will.kind === 'allow' && !wasAllowed ? { kind: 'admitted' } : undefined;
  };
};
