/** The address of a tunnel as agents print it (protocol.md 7.4). */
import type { TunnelProperties } from '../base/tunnel-properties.ts';

const HTTPS_PORT = 443;

/**
 * A URL for a published HTTP tunnel, host and port with the protocol for other published ones, `rstrm://name (unpublished)` otherwise.
 * @param reply the engine's properties of the open tunnel
 */
export const forwardingAddress = (reply: TunnelProperties): string => {
  const { hostname, host, port = HTTPS_PORT, protocol, name, id } = reply;
  if (!hostname && !host) return `rstrm://${name || id} (unpublished)`;
  const withPort = hostname ? `${hostname}:${port}` : `${host}`;
  const shortest = hostname && port === HTTPS_PORT ? hostname : withPort;
  if (protocol === 'http') return `https://${shortest}`;
  return protocol === 'tls' || protocol === 'tcp' ? `${withPort} (${protocol})` : shortest;
};
