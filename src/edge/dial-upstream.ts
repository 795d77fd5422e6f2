/**
 * From a tunnel to the raw bytes of its upstream: dial the agent, then whatever the upstream wants before the first byte.
 *
 * Flow: raw.ts calls it for published tunnels, control for private dials.
 * Invariant: a PROXY header comes first, in the clear, as proxies send it; then, with upstream_tls, the engine is the TLS client inside the
 * stream (protocol.md 7.7) and offers what the downstream agreed on, or what the tunnel names, so that both ends speak one protocol.
 */
import { type ProxyVersion, proxyHeaderFor } from '../base/proxy-protocol.ts';
import type { AgentStream, DialBack } from '../stream/agent-stream.ts';
import { PROXY_PROTOCOL_LABEL } from '../tunnel/property-rules.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { cancellable, type SecureUpstream } from './connect.ts';
import type { EdgeConnection } from './connection.ts';

/**
 * Opens one stream to the upstream of a tunnel.
 * @param connection on whose behalf
 * @param signal aborts when the downstream goes away
 * @throws what {@link DialBack} throws, UPSTREAM_TLS_FAILED
 */
export type DialUpstream = (
  tunnel: Tunnel,
  connection: EdgeConnection,
  signal: AbortSignal,
) => Promise<AgentStream>;

export const createDialUpstream =
  (needs: { readonly dialBack: DialBack; readonly secureUpstream: SecureUpstream }): DialUpstream =>
  async (tunnel, connection, signal) => {
    const { upstreamTls, tlsAlpns = [], labels } = tunnel.properties;
    const source = { address: connection.remoteAddress, port: connection.remotePort };
    const stream = await needs.dialBack(tunnel, source, signal);
    const version = labels?.[PROXY_PROTOCOL_LABEL];
    if (version !== undefined) {
      const destination = { address: connection.localAddress ?? '', port: connection.localPort ?? 0 };
      // Its value was checked when the tunnel was opened.
      stream.socket.write(proxyHeaderFor(version as ProxyVersion, source, destination));
    }
    if (!upstreamTls) return stream;
    const protocols = connection.alpnProtocol === undefined ? tlsAlpns : [connection.alpnProtocol];
    const { socket } = await cancellable(stream, signal, () =>
      needs.secureUpstream(stream.socket, protocols),
    );
    return { ...stream, socket };
  };
