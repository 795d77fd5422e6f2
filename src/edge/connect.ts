/**
 * From a tunnel to a connection that speaks its upstream's HTTP: dial, TLS if the upstream wants it, then the version.
 *
 * Flow: a pool asks for one more connection; control dials the agent; the lobby's `secureUpstream` does TLS inside the stream.
 * Invariant: the version is known before the first request: by the tunnel's http_version, or by ALPN where there is TLS.
 */
import type { Duplex } from 'node:stream';
import type { Clock, Sweep } from '../base/time.ts';
import type { AgentStream, DialBack, DialSource } from '../stream/agent-stream.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { Http1Upstream } from './http1/upstream.ts';
import { connectHttp2 } from './http2/upstream.ts';
import type { Keeper, UpstreamConnection } from './sides.ts';

/**
 * Speaks TLS to the upstream inside a stream.
 * @param alpnProtocols offered, by preference
 * @returns the plain side and what was agreed on; rejects with UPSTREAM_TLS_FAILED, and the stream is then gone
 */
export type SecureUpstream = (
  stream: Duplex,
  alpnProtocols: readonly string[],
) => Promise<{ readonly socket: Duplex; readonly alpnProtocol: string | undefined }>;

/** Which versions a pool may use: those that the tunnel allows, or HTTP/1.1 alone, for upgrades that HTTP/2 cannot carry. */
export type VersionChoice = 'any' | 'http/1.1';

export interface ConnectNeeds {
  readonly clock: Clock;
  readonly sweep: Sweep;
  readonly dialBack: DialBack;
  readonly secureUpstream: SecureUpstream;
}

/** Whether the upstream speaks HTTP/2 without being asked (RFC 9113 3.3). */
export const isHttp2KnownOf = ({ properties: { httpVersion } }: Tunnel): boolean =>
  httpVersion === 'h2c' || httpVersion === 'h2';

/** Opens one connection, for the pool of a tunnel as a rule; see {@link DialBack} for what it rejects with. */
export const connectUpstream = async (
  needs: ConnectNeeds,
  tunnel: Tunnel,
  choice: VersionChoice,
  keeper: Keeper,
  source: DialSource,
  signal: AbortSignal,
): Promise<UpstreamConnection> => {
  const { upstreamTls } = tunnel.properties;
  const stream = await needs.dialBack(tunnel, source, signal);
  return cancellable(stream, signal, async () => {
    let { socket } = stream;
    let isHttp2 = isHttp2KnownOf(tunnel) && choice === 'any';
    if (upstreamTls) {
      const secured = await needs.secureUpstream(
        socket,
        choice === 'any' ? ['h2', 'http/1.1'] : ['http/1.1'],
      );
      socket = secured.socket;
      isHttp2 = secured.alpnProtocol === 'h2';
    }
    return isHttp2 ? connectHttp2(socket, keeper, needs) : new Http1Upstream(socket, keeper);
  });
};

/** Ends the stream when nobody waits for what is being made of it any more, or when it cannot be made. */
export const cancellable = async <Made>(
  stream: AgentStream,
  signal: AbortSignal,
  make: () => Promise<Made>,
): Promise<Made> => {
  const cancel = () => stream.socket.destroy();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await make();
  } catch (thrown) {
    stream.socket.destroy();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};
