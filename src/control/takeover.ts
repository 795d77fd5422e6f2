/**
 * Gives names to a session that wants them back from an older session of the same credential.
 *
 * An agent that lost its network comes back before the engine has noticed the loss, and asks for the names that its old session still
 * holds. Whether the old session lives is asked with a dial request: only an agent that still serves can answer it.
 * Invariant: another credential's names are never touched; after every wait the question is asked anew, since the answer is as old as
 * the wait.
 * Limits: takeoverSilenceMs, takeoverProbeMs; one probe per session at a time.
 */
import { EngineError, fail } from '../base/errors.ts';
import type { AgentId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { AgentSession } from './session.ts';

export interface TakeoverNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly sessionOf: (agentId: AgentId) => AgentSession | undefined;
}

/** A heartbeat is overdue (protocol.md 0.1): no need to ask. */
const isSilent = ({ silentMs, heartbeatMs = LIMITS.takeoverSilenceMs }: AgentSession): boolean =>
  silentMs > heartbeatMs;

export const createTakeover = ({ clock, log, registry, sessionOf }: TakeoverNeeds) => {
  const probes = new Map<AgentId, Promise<boolean>>();

  const probe = async (old: AgentSession, tunnel: Tunnel, address: string): Promise<boolean> => {
    const patience = new AbortController();
    const timer = clock.after(LIMITS.takeoverProbeMs, () => patience.abort());
    try {
      const stream = await old.dial(tunnel, { address }, { signal: patience.signal, isUrgent: true });
      stream.socket.destroy();
      return true;
    } catch (thrown) {
      // A refusal comes from a living agent too.
      return thrown instanceof EngineError && thrown.code === 'DIAL_BACK_REFUSED';
    } finally {
      timer.cancel();
    }
  };

  const isAlive = (old: AgentSession, tunnel: Tunnel, address: string): Promise<boolean> => {
    const running =
      probes.get(old.agentId) ?? probe(old, tunnel, address).finally(() => probes.delete(old.agentId));
    probes.set(old.agentId, running);
    return running;
  };

  /**
   * Ends older sessions that hold what is wanted, as far as that is allowed; what stays taken is for the registry to refuse.
   * @throws what the registry says about the request itself
   */
  return async (session: AgentSession, requested: TunnelProperties): Promise<void> => {
    for (;;) {
      const rival = registry.rivalOf(requested);
      const old = rival && sessionOf(rival.agentId);
      if (!old || old === session || rival.credentialId !== session.principal.credentialId) return;
      if (!isSilent(old) && (await isAlive(old, rival, session.view.remoteAddress))) return;
      if (!session.isOpen) return;
      // While the probe ran, the old session may have closed this tunnel, or another session may have got the name.
      if (registry.rivalOf(requested) !== rival) continue;
      log.info({ agentId: old.agentId, tunnelId: rival.id, newAgentId: session.agentId }, 'session replaced');
      old.destroy(fail('AGENT_GONE', { agentId: old.agentId }));
    }
  };
};
