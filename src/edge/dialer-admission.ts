/**
 * Private dialers of published tunnels: they come by the agents' way and pass no edge, but reach the same service.
 *
 * Flow: control asks for each private dial that it has authenticated.
 * Invariant: the policy of a published tunnel holds on every way to it, and for as long as the way is used. A private tunnel has none.
 */
import type { EngineError } from '../base/errors.ts';
import type { Principal } from '../base/principal.ts';
import type { ConnectionFacts } from '../policy/verdict.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Policies } from './policies.ts';

/**
 * Lets a dialer in.
 * @param cut called once at most, when it may not stay
 * @returns to be called when it has gone
 * @throws a denial of the policy, or AGENT_GONE
 */
export type AdmitDialer = (
  tunnel: Tunnel,
  connection: ConnectionFacts,
  principal: Principal,
  cut: (error: EngineError) => void,
) => () => void;

export const createDialerAdmission =
  (policies: Pick<Policies, 'judge' | 'follow' | 'unfollow'>): AdmitDialer =>
  (tunnel, connection, principal, cut) => {
    if (!tunnel.properties.publish) return () => {};
    const denial = policies.judge(tunnel, connection, principal);
    if (denial) throw denial;
    const running = { tunnel, connection, principal, cut };
    policies.follow(running);
    return () => policies.unfollow(running);
  };
