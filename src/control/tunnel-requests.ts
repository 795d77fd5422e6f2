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
import type { TunnelOwner } from '../tunnel/tunnel.ts';
import type { Message } from '../wire/message.ts';
import type { Channel } from './channel.ts';
import { reportRefusal } from './refusal.ts';

export type TunnelRequest = Extract<Message, { kind: 'open-tunnel' }>;

export interface TunnelRequestsNeeds {
  readonly registry: TunnelRegistry;
  readonly channel: Pick<Channel, 'send' | 'isOpen'>;
  /** Takes the names that the request wants over from an older session, where that is allowed. */
  readonly makeRoom: (requested: TunnelProperties) => Promise<void>;
  /** Already carries the session's fields. */
  readonly log: Logger;
}

export const createTunnelRequests = (
  { registry, channel, makeRoom, log }: TunnelRequestsNeeds,
  owner: TunnelOwner,
  principal: Principal,
) => {
  let waitingCount = 0;

  const waitForRoom = async (requested: TunnelProperties) => {
    const limit = LIMITS.tunnelsPerSessionMax;
    if (waitingCount >= limit) throw fail('TUNNEL_LIMIT', { limit });
    waitingCount += 1;
    try {
      await makeRoom(requested);
    } finally {
      waitingCount -= 1;
    }
  };

  const open = (requestId: string, requested: TunnelProperties) => {
    const tunnel = registry.open(owner, requested);
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
      await waitForRoom(properties);
      if (channel.isOpen) open(requestId, properties);
    } catch (thrown) {
      const error = reportRefusal(log, thrown, {}, 'tunnel refused');
      channel.send({ kind: 'tunnel-refused', requestId, error });
    }
  };
};
