/**
 * One agent session: what the engine knows and does for one control channel.
 *
 * Flow: sessions.ts makes it once the agent is authenticated, and ends it; it answers the agent's messages and dials the agent.
 * Life: open; closing, when the agent has been told and may still read; closed. Its tunnels go at the first of these two ends, its
 * running streams at neither (protocol.md 5.5).
 * Invariant: channel-opened is the first message; a tunnel that closes, by whatever cause, is reported exactly once, and no dial
 * request follows (protocol.md 5.2).
 */
import type { Duplex } from 'node:stream';
import { type EngineError, type ErrorCode, fail } from '../base/errors.ts';
import { type AgentId, newErrorId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { LogFields, Logger } from '../base/log.ts';
import type { Principal } from '../base/principal.ts';
import type { Clock } from '../base/time.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { AgentStream, DialSource, DialTarget } from '../stream/agent-stream.ts';
import type { Rendezvous } from '../stream/rendezvous.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Liveness, ServerDetails } from '../wire/message.ts';
import { createAgentMessages } from './agent-messages.ts';
import { createChannel } from './channel.ts';
import { createDials, type DialOptions } from './dials.ts';
import type { HeldStreams } from './held-streams.ts';
import type { SessionView } from './session-view.ts';
import { createTunnelRequests, type ReservePort } from './tunnel-requests.ts';

export interface SessionNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly rendezvous: Rendezvous;
  readonly held: HeldStreams;
  /** Takes names over for a session; provided by takeover.ts. */
  readonly makeRoom: (session: AgentSession, requested: TunnelProperties) => Promise<void>;
  readonly reservePort: ReservePort;
  readonly countRefusal?: (code: ErrorCode) => void;
}

export interface SessionOptions {
  readonly view: SessionView;
  readonly principal: Principal;
  /** Address and port of the agent, for the log. */
  readonly remote: string;
  readonly server: ServerDetails;
  /** Negotiated; absent in legacy mode. */
  readonly liveness?: Liveness | undefined;
  /** Called once, when nothing is left of it. */
  readonly onClosed: () => void;
}

export interface AgentSession {
  readonly agentId: AgentId;
  readonly principal: Principal;
  readonly view: SessionView;
  /** What the agent negotiated; absent in legacy mode. */
  readonly heartbeatMs?: number | undefined;
  /** Milliseconds since the last byte of the agent. */
  readonly silentMs: number;
  /** False from the first word of its end on. */
  readonly isOpen: boolean;
  /** @throws see DialBack */
  dial(tunnel: DialTarget, source: DialSource, options?: DialOptions): Promise<AgentStream>;
  /** Tells the agent and whoever waits for a stream; called for every tunnel of this session that the registry closed. */
  tunnelOnClosed(tunnel: Tunnel): void;
  /** Tells the agent and ends; absent when the agent asked for it. */
  close(reason?: EngineError): void;
  /** Ends now, as a loss. */
  destroy(cause: EngineError): void;
}

/**
 * Greets the agent and serves it from then on.
 * @param socket paused, right behind the agent's first message
 */
export const createSession = (needs: SessionNeeds, socket: Duplex, options: SessionOptions): AgentSession => {
  const { registry, rendezvous, held } = needs;
  const { view, principal, remote, server, liveness } = options;
  const peer = { remote, agent: view.agent, version: view.version };
  const agentId = view.id;
  const { credentialId } = principal;
  const log = needs.log.child({ agentId, credentialId });
  let closeReason: EngineError | undefined;

  const releaseTunnels = (isLost: boolean) => {
    registry.closeAll(agentId, { isLost });
    dials.close();
  };
  const channel = createChannel(socket, needs, {
    silenceMsMax: liveness?.heartbeatTimeoutMs ?? LIMITS.legacySilenceMsMax,
    onMessage: (message) => onMessage(message),
    onClosed(cause) {
      releaseTunnels(true);
      logEnd(log, peer, cause ?? closeReason);
      options.onClosed();
    },
  });
  const dials = createDials({ rendezvous, send: channel.send }, { agentId });

  const session: AgentSession = {
    agentId,
    principal,
    view,
    heartbeatMs: liveness?.heartbeatIntervalMs,
    get silentMs() {
      return channel.silentMs;
    },
    get isOpen() {
      return channel.isOpen;
    },
    async dial(tunnel, source, dialOptions) {
      if (registry.byId(tunnel.id)?.agentId !== agentId) throw fail('AGENT_GONE', { tunnelId: tunnel.id });
      const stream = await dials.dial(tunnel.id, source, dialOptions);
      held.hold(principal, stream.socket);
      return stream;
    },
    tunnelOnClosed({ id }) {
      channel.send({ kind: 'tunnel-closed', tunnelId: id });
      dials.cancelTunnel(id);
      log.info({ tunnelId: id }, 'tunnel closed');
    },
    close(reason) {
      if (!channel.isOpen) return;
      closeReason = reason;
      // First the channel: an agent that leaves needs no word about each of its tunnels.
      channel.close({ kind: 'channel-closed' });
      // A downstream that comes while the engine drains is told so: its hostname must not look unknown.
      releaseTunnels(reason?.code === 'ENGINE_DRAINING');
    },
    destroy: channel.destroy,
  };
  const makeRoom = (requested: TunnelProperties) => needs.makeRoom(session, requested);
  const answerTunnelRequest = createTunnelRequests(
    { registry, channel, log, makeRoom, reservePort: needs.reservePort },
    { agentId, credentialId },
    principal,
  );
  const onMessage = createAgentMessages(
    { registry, rendezvous, channel, answerTunnelRequest, onLeave: session.close },
    { agentId, isAcknowledging: liveness !== undefined },
  );

  channel.send({ kind: 'channel-opened', agentId, server, ...(liveness && { liveness }) });
  log.info(peer, 'session opened');
  return session;
};

const logEnd = (log: Logger, peer: LogFields, reason: EngineError | undefined): void => {
  if (!reason) return log.info(peer, 'session closed by its agent');
  const level = reason.code === 'INTERNAL' ? 'error' : 'info';
  const fields = { ...peer, errorId: newErrorId(), code: reason.code, error: reason };
  log[level](fields, 'session closed');
};
