/**
 * Tunnels and agents as the Admin API shows them: more than the Engine API tells, such as addresses and names of credentials.
 */
import { isoFrom } from '../../base/instant.ts';
import type { Truth } from '../../observe/probes.ts';
import type { Credentials } from '../../store/credentials.ts';
import type { TunnelRegistry } from '../../tunnel/registry.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import { type AgentView, dtoFromTunnel } from '../dto.ts';
import { truthFrom } from './truth.ts';

/** An agent session, as the Admin API shows it; provided by control. */
export interface LiveAgent extends AgentView {
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  readonly remoteAddress: string;
}

export interface InventoryNeeds {
  readonly registry: Pick<TunnelRegistry, 'list'>;
  readonly credentials: Pick<Credentials, 'list'>;
  listAgents(): readonly LiveAgent[];
  findAgent(id: string): LiveAgent | undefined;
  /** Undefined where the tunnel is not probed. */
  truthOf(tunnelId: string): Truth | undefined;
}

/** How people call the kinds of credentials. */
export const CREDENTIAL_KINDS = {
  pat: 'token',
  app: 'application',
  certificate: 'client certificate',
} as const;
export type CredentialKind = keyof typeof CREDENTIAL_KINDS;

export const tunnelFrom = (
  tunnel: Tunnel,
  { findAgent, truthOf }: Pick<InventoryNeeds, 'findAgent' | 'truthOf'>,
) => {
  const agent = findAgent(tunnel.agentId);
  return {
    ...dtoFromTunnel(tunnel, agent?.userId),
    agent: agent?.agent,
    address: agent?.remoteAddress,
    credential_id: tunnel.credentialId,
    truth: truthFrom(truthOf(tunnel.id)),
  };
};

export const agentFrom = (agent: LiveAgent, credentialName: string | undefined) => ({
  id: agent.id,
  credential_id: agent.credentialId,
  credential_name: credentialName,
  user_id: agent.userId,
  agent: agent.agent,
  version: agent.version,
  os: agent.os,
  arch: agent.arch,
  protocol_version: agent.protocolVersion,
  address: agent.remoteAddress,
  connected_at: isoFrom(agent.connectedAt),
});

/** The name that each credential was given, by id. */
export const credentialNames = ({ credentials }: InventoryNeeds): ReadonlyMap<string, string> =>
  new Map(
    Object.keys(CREDENTIAL_KINDS).flatMap((kind) =>
      credentials.list(kind as CredentialKind).map(({ id, name }) => [id as string, name] as const),
    ),
  );

export const listTunnels = (needs: InventoryNeeds) =>
  needs.registry.list().map((tunnel) => tunnelFrom(tunnel, needs));

export const listAgents = (needs: InventoryNeeds) => {
  const names = credentialNames(needs);
  return needs.listAgents().map((agent) => agentFrom(agent, names.get(agent.credentialId)));
};
