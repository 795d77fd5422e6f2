/**
 * From a tunnel to the raw bytes of its upstream: dial the agent, then whatever the upstream wants before the first byte.
 *
 * Flow: raw.ts calls it for published tunnels, control for private dials.
 * Invariant: with upstream_tls the engine is the TLS client inside the stream (protocol.md 7.7); it offers what the downstream agreed on, or
 * what the tunnel names, so that both ends speak one protocol.
 */
import type { AgentStream, DialBack, DialSource } from '../stream/agent-stream.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { cancellable, type SecureUpstream } from './connect.ts';

/**
 * Opens one stream to the upstream of a tunnel.
 * @param signal aborts when the downstream goes away
 * @param alpnProtocol what TLS towards the downstream agreed on
 * @throws what {@link DialBack} throws, UPSTREAM_TLS_FAILED
 */
export type DialUpstream = (
  tunnel: Tunnel,
  source: DialSource,
  signal: AbortSignal,
  alpnProtocol?: string,
) => Promise<AgentStream>;

export const createDialUpstream =
  (needs: { readonly dialBack: DialBack; readonly secureUpstream: SecureUpstream }): DialUpstream =>
  async (tunnel, source, signal, alpnProtocol) => {
    const { upstreamTls, tlsAlpns = [] } = tunnel.properties;
    const stream = await needs.dialBack(tunnel, source, signal);
    if (!upstreamTls) return stream;
    const protocols = alpnProtocol === undefined ? tlsAlpns : [alpnProtocol];
    const { socket } = await cancellable(stream, signal, () =>
      needs.secureUpstream(stream.socket, protocols),
    );
    return { ...stream, socket };
  };
