/**
 * The JSON shapes of the Engine API (protocol.md 10.3), as schemas, and what fills them.
 *
 * Flow: engine-routes.ts maps values to these shapes; openapi.ts renders the schemas; filters of params.ts compare against them.
 * Invariant: keys that are not set are left out, never null.
 */
import { z } from 'zod';
import type { Tunnel } from '../tunnel/tunnel.ts';

/** What the Engine API needs to know of an agent session; provided by control. */
export interface AgentView {
  readonly id: string;
  readonly credentialId: string;
  readonly userId?: string | undefined;
  readonly agent?: string | undefined;
  readonly channel?: string | undefined;
  readonly version?: string | undefined;
  readonly os?: string | undefined;
  readonly arch?: string | undefined;
  readonly protocolVersion?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** This engine keeps no history, so everything that it lists is online. */
export const statusSchema = z.enum(['online', 'offline']);
const textSchema = z.string().optional();
const textsSchema = z.array(z.string()).optional();
const flagSchema = z.boolean().optional();
const labelsSchema = z.record(z.string(), z.string()).optional();

export const clientSchema = z
  .object({
    id: z.string(),
    status: statusSchema,
    user_id: textSchema,
    agent: textSchema,
    channel: textSchema,
    version: textSchema,
    os: textSchema,
    arch: textSchema,
    protocol_version: textSchema,
    labels: labelsSchema,
  })
  .meta({ description: 'An agent that is connected.' });

export const tunnelSchema = z
  .object({
    id: z.string(),
    status: statusSchema,
    client_id: z.string().meta({ description: 'The agent that opened it.' }),
    user_id: textSchema,
    creation_date: z.string().meta({ format: 'date-time', description: 'In UTC, with Z.' }),
    name: textSchema,
    type: z.enum(['bytestream', 'datagram']),
    publish: z.boolean(),
    protocol: textSchema,
    labels: labelsSchema,
    geo_ip: textsSchema,
    trusted_ips: textsSchema,
    host: textSchema.meta({ deprecated: true, description: 'Use hostname and port.' }),
    hostname: textSchema,
    port: z.int().optional().meta({ description: 'The port that downstreams use.' }),
    tls_mode: textSchema,
    tls_alpns: textsSchema,
    tls_min_version: textSchema,
    tls_ciphers: textsSchema,
    mtls_auth: flagSchema,
    http_version: textSchema,
    http_use_tls: flagSchema.meta({ deprecated: true, description: 'Use upstream_tls.' }),
    upstream_tls: flagSchema,
    datagram_guaranteed_delivery: flagSchema,
    allow_cross_region_routing: flagSchema,
    token_auth: flagSchema,
    rstream_auth: flagSchema,
    challenge_mode: flagSchema,
  })
  .meta({ description: 'A tunnel that is open.' });

export type ClientDto = z.infer<typeof clientSchema>;
export type TunnelDto = z.infer<typeof tunnelSchema>;

// JSON leaves out keys whose value is undefined, so the two mappings need no conditions.

export const clientFromAgent = (agent: AgentView): ClientDto => ({
  id: agent.id,
  status: 'online',
  user_id: agent.userId,
  agent: agent.agent,
  channel: agent.channel,
  version: agent.version,
  os: agent.os,
  arch: agent.arch,
  protocol_version: agent.protocolVersion,
  labels: agent.labels,
});

/** @param userId the user of the agent that opened it, where the agent's token names one */
export const dtoFromTunnel = ({ agentId, properties }: Tunnel, userId: string | undefined): TunnelDto => ({
  id: properties.id,
  status: 'online',
  client_id: agentId,
  user_id: userId,
  creation_date: new Date(properties.creationDate).toISOString(),
  name: properties.name,
  type: properties.type,
  publish: properties.publish,
  protocol: properties.protocol,
  labels: properties.labels,
  geo_ip: properties.geoip,
  trusted_ips: properties.trustedIps,
  host: properties.host,
  hostname: properties.hostname,
  port: properties.port,
  tls_mode: properties.tlsMode,
  tls_alpns: properties.tlsAlpns,
  tls_min_version: properties.tlsMinVersion,
  tls_ciphers: properties.tlsCiphers,
  mtls_auth: properties.mtlsAuth,
  http_version: properties.httpVersion,
  http_use_tls: properties.httpUseTls,
  upstream_tls: properties.upstreamTls,
  datagram_guaranteed_delivery: properties.datagramGuaranteedDelivery,
  allow_cross_region_routing: properties.allowCrossRegionRouting,
  token_auth: properties.tokenAuth,
  rstream_auth: properties.rstreamAuth,
  challenge_mode: properties.challengeMode,
});
