/**
 * All agent sessions.
 *
 * Flow: control/accept.ts opens one per control channel; edge and private dials reach an agent through `dialBack`; the registry's
 * news about closed tunnels go to the session that they belong to.
 * Invariant: every session has an id of its own, which its tunnels carry. That is the generation guard: the late end of an old
 * session finds nothing that belongs to a newer one.
 * Limits: sessionsMax.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, type ErrorCode, fail } from '../base/errors.ts';
import { type AgentId, newAgentId } from '../base/ids.ts';
import { sourceOf } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Principal } from '../base/principal.ts';
import type { Clock } from '../base/time.ts';
import type { DialBack } from '../stream/agent-stream.ts';
import type { Rendezvous } from '../stream/rendezvous.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import { negotiateLiveness } from '../wire/handshake.ts';
import type { Message } from '../wire/message.ts';
import type { HeldStreams } from './held-streams.ts';
import { type AgentSession, createSession } from './session.ts';
import { type AgentConnection, remoteOf, type SessionView, sessionViewFrom } from './session-view.ts';
import { createTakeover } from './takeover.ts';
import type { ReservePort } from './tunnel-requests.ts';

export interface SessionsNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly rendezvous: Rendezvous;
  readonly held: HeldStreams;
  readonly reservePort: ReservePort;
  readonly countRefusal?: (code: ErrorCode) => void;
}

/** Opened before its first tunnel opens, closed after its last one has closed. */
export type SessionListener = (event: 'opened' | 'closed', session: SessionView) => void;

export const createSessions = (needs: SessionsNeeds, { version }: { version: string }) => {
  const { clock, registry } = needs;
  const sessions = new Map<AgentId, AgentSession>();
  const listeners = new Set<SessionListener>();
  // Sessions by the source that they are from.
  const countBySource = new Map<string, number>();
  const makeRoom = createTakeover({ ...needs, sessionOf: (agentId) => sessions.get(agentId) });
  const server = { agent: 'rstream-engine-ce', version };

  registry.onClosed((tunnel) => sessions.get(tunnel.agentId)?.tunnelOnClosed(tunnel));

  const tell: SessionListener = (event, view) => {
    for (const listener of listeners) listener(event, view);
  };

  const dialBack: DialBack = async (tunnel, source, signal) => {
    const session = sessions.get(tunnel.agentId);
    if (!session) throw fail('AGENT_GONE', { tunnelId: tunnel.id });
    return session.dial(tunnel, source, { signal });
  };

  const count = (source: string, change: 1 | -1) => {
    const sessionCount = (countBySource.get(source) ?? 0) + change;
    if (sessionCount > 0) countBySource.set(source, sessionCount);
    else countBySource.delete(source);
  };

  return {
    /**
     * Makes the session of a control channel; on a throw the socket stays the caller's.
     * @throws LIVENESS_INVALID, SESSION_LIMIT
     */
    open(
      socket: Duplex,
      { details, liveness: asked }: Extract<Message, { kind: 'open-channel' }>,
      principal: Principal,
      connection: AgentConnection,
    ): void {
      const liveness = negotiateLiveness(asked);
      if (sessions.size >= LIMITS.sessionsMax) throw fail('SESSION_LIMIT', { limit: LIMITS.sessionsMax });
      const agentId = newAgentId();
      const view = sessionViewFrom(agentId, principal, details, connection, clock.now());
      const source = sourceOf(connection.remoteAddress);
      const onClosed = () => {
        sessions.delete(agentId);
        count(source, -1);
        tell('closed', view);
      };
      const options = { view, principal, remote: remoteOf(connection), server, liveness, onClosed };
      count(source, 1);
      sessions.set(agentId, createSession({ ...needs, makeRoom }, socket, options));
      tell('opened', view);
    },

    dialBack,

    /** Sessions that are open or closing, oldest first. */
    list: (): readonly SessionView[] => [...sessions.values()].map(({ view }) => view),

    /** A session that is open or closing. */
    find: (agentId: string): SessionView | undefined => sessions.get(agentId as AgentId)?.view,

    /** Whether an agent is connected from this address, or from the same IPv6 /64. */
    hasSessionFrom: (address: string): boolean => countBySource.has(sourceOf(address)),

    /** Calls at each opening and closing, until the returned function is called. */
    onChange(listener: SessionListener): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    /** Tells the agents for which there is a reason, and ends their sessions. */
    close(reasonFor: (principal: Principal) => EngineError | undefined): void {
      for (const session of [...sessions.values()]) {
        const reason = session.isOpen ? reasonFor(session.principal) : undefined;
        if (reason) session.close(reason);
      }
    },

    /** Ends one session; false when there is none of this id. */
    disconnect(agentId: string, reason: EngineError): boolean {
      const session = sessions.get(agentId as AgentId);
      session?.close(reason);
      return session !== undefined;
    },

    get count(): number {
      return sessions.size;
    },
  };
};
