/**
 * Answers a session's requests for tunnels.
 *
 * Invariant: each request is answered exactly once, unless the channel ended first; a tunnel whose reply cannot be sent is not open.
 * Limits: tunnelsPerSessionMax, for requests that wait for a takeover as well.
 */
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { PERMISSIONS, type Principal, requirePermission } from '../base/principal.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel, TunnelOwner } from '../tunnel/tunnel.ts';
import type { Message } from '../wire/message.ts';
import type { Channel } from './channel.ts';
import { type RefusalNeeds, reportRefusal } from './refusal.ts';

export type TunnelRequest = Extract<Message, { kind: 'open-tunnel' }>;

/** The port of a TCP tunnel that is about to open. */
export interface ReservedPort {
  readonly port: number;
  /** The tunnel has opened. */
  assign(tunnel: Tunnel): void;
  /** It has not. */
  release(): void;
}

/** Listens on the port that a TCP tunnel asks for, or on any; undefined for all other tunnels. */
export type ReservePort = (requested: TunnelProperties) => Promise<ReservedPort | undefined>;

export interface TunnelRequestsNeeds extends RefusalNeeds {
  readonly registry: TunnelRegistry;
  readonly channel: Pick<Channel, 'send' | 'isOpen'>;
  /** Takes the names that the request wants over from an older session, where that is allowed. */
  readonly makeRoom: (requested: TunnelProperties) => Promise<void>;
  readonly reservePort: ReservePort;
  /** Already carries the session's fields. */
  readonly log: Logger;
}

export const createTunnelRequests = (
  needs: TunnelRequestsNeeds,
  owner: TunnelOwner,
  principal: Principal,
) => {
  const { registry, channel, makeRoom, reservePort, log } = needs;
  let waitingCount = 0;

  const waitForRoom = async (requested: TunnelProperties): Promise<ReservedPort | undefined> => {
    const limit = LIMITS.tunnelsPerSessionMax;
    if (waitingCount >= limit) throw fail('TUNNEL_LIMIT', { limit });
    waitingCount += 1;
    try {
      await makeRoom(requested);
      return await reservePort(requested);
    } finally {
      waitingCount -= 1;
    }
  };

  const register = (requested: TunnelProperties, port: ReservedPort | undefined): Tunnel => {
    try {
      const tunnel = registry.open(owner, requested, port?.port);
      port?.assign(tunnel);
      return tunnel;
    } catch (thrown) {
      port?.release();
      throw thrown;
    }
  };

  const open = (requestId: string, requested: TunnelProperties, port: ReservedPort | undefined) => {
    const tunnel = register(requested, port);
    try {
      channel.send({ kind: 'tunnel-opened', requestId, properties: tunnel.properties });
    } catch (thrown) {
      registry.close(tunnel.id);
      throw thrown;
    }
    const { name, hostname } = tunnel.properties;
    log.info({ tunnelId: tunnel.id, hostname, name }, 'tunnel opened');
  };

  /** Rejects only when not even the refusal can be sent. */
  return async ({ requestId, properties }: TunnelRequest): Promise<void> => {
    try {
      requirePermission(principal, PERMISSIONS.manageTunnels);
      const port = await waitForRoom(properties);
      if (channel.isOpen) open(requestId, properties, port);
      else port?.release();
    } catch (thrown) {
      const error = reportRefusal(needs, thrown, {}, 'tunnel refused');
      channel.send({ kind: 'tunnel-refused', requestId, error });
    }
  };
};
