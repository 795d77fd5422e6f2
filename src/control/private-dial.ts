/**
 * An agent connection that asks for a stream to a tunnel of another agent (protocol.md 6.2).
 *
 * Flow: control/accept.ts hands over the socket behind the request; the stream's agent is dialled and the two are relayed; a tunnel
 * that is known to speak HTTP is the edge's from here on, which applies its upstream options to each request.
 * Invariant: the permission is checked for every single dial, and so is the policy of a tunnel that is published too. Until the agent's
 * side exists nothing is read beyond the socket's own buffer, so what a zero-RTT dialer sends early waits in order and is bounded.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../base/break-off.ts';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { newStreamId } from '../base/ids.ts';
import { PERMISSIONS, type Principal } from '../base/principal.ts';
import { endFromRelay, failedRecord, type TrafficRecord } from '../base/record.ts';
import type { Clock } from '../base/time.ts';
import type { AgentStream } from '../stream/agent-stream.ts';
import { relay } from '../stream/relay.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import type { Message } from '../wire/message.ts';
import { authenticate, type ProofVerifiers } from './authenticate.ts';
import type { HeldStreams } from './held-streams.ts';
import type { AgentConnection } from './session-view.ts';

export type PrivateDialRequest = Extract<Message, { kind: 'private-dial' }>;

/** The way to upstreams, with what their tunnels ask for on it. */
export interface PrivateEdge {
  /**
   * Lets a dialer in, by the policy of a tunnel that is published as well.
   * @param cut called once at most, when it may not stay
   * @returns to be called when it has gone
   * @throws ADDRESS_FORBIDDEN and the other denials of policies
   */
  admit(
    tunnel: Tunnel,
    dialer: AgentConnection,
    principal: Principal,
    cut: (error: EngineError) => void,
  ): () => void;
  /** One stream of raw bytes; rejects as a DialBack does, and with UPSTREAM_TLS_FAILED. */
  dialUpstream(tunnel: Tunnel, dialer: AgentConnection, signal: AbortSignal): Promise<AgentStream>;
  /** Takes over a dialer that speaks HTTP to one tunnel. */
  serveHttp(socket: Duplex, connection: AgentConnection, tunnel: Tunnel): void;
}

export interface PrivateDialsNeeds extends ProofVerifiers {
  readonly clock: Clock;
  readonly registry: TunnelRegistry;
  readonly held: HeldStreams;
  readonly privateEdge: PrivateEdge;
  readonly record: (record: TrafficRecord) => void;
}

/** How a raw stream is dialled. */
interface RawDial {
  readonly zeroRtt: boolean;
  readonly credentialId: string;
  readonly cutBy: CutBy;
}

/** Why a dialer that was let in has been cut, if it has. */
type CutBy = () => EngineError | undefined;

export const createPrivateDials = (needs: PrivateDialsNeeds, { idleMs }: { idleMs: number }) => {
  const { clock, registry, held, privateEdge, record } = needs;
  let runningCount = 0;

  const find = (target: string): Tunnel => {
    const tunnel = registry.find(target.trim());
    if (!tunnel) throw fail('TUNNEL_NOT_FOUND');
    return tunnel;
  };

  /** Dials on behalf of the dialer, for as long as it is there. */
  const reach = async (
    socket: Duplex,
    tunnel: Tunnel,
    connection: AgentConnection,
    isEndFinal: boolean,
  ): Promise<AgentStream> => {
    const gone = new AbortController();
    const leave = () => gone.abort();
    socket.once('close', leave);
    // With zero-RTT an end only says that the dialer has sent everything: it may well wait for the answer.
    if (isEndFinal) socket.once('end', leave);
    if (socket.destroyed || (isEndFinal && socket.readableEnded)) leave();
    try {
      return await privateEdge.dialUpstream(tunnel, connection, gone.signal);
    } finally {
      socket.off('close', leave).off('end', leave);
    }
  };

  /** One raw stream, from the dial to its end. */
  const join = async (
    socket: Duplex,
    tunnel: Tunnel,
    connection: AgentConnection,
    { zeroRtt, credentialId, cutBy }: RawDial,
  ) => {
    const kind = 'private-stream';
    const startMs = clock.elapsed();
    const told = () => ({ tunnel, dialerCredentialId: credentialId, durationMs: clock.elapsed() - startMs });
    try {
      const stream = await reach(socket, tunnel, connection, !zeroRtt);
      const waitMs = clock.elapsed() - startMs;
      // Flushed before any payload can follow (protocol.md 6.3).
      if (!zeroRtt) await write(socket, { kind: 'private-dial-accepted', streamId: stream.id });
      const result = await relay(socket, stream.socket, { clock, idleMs, pulse: tunnel.pulse });
      const end = endFromRelay(result, cutBy());
      record({ kind, connection, streamId: stream.id, status: 0, waitMs, ...told(), ...end });
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      record(failedRecord(kind, connection, error, told()));
      throw error;
    }
  };

  const admit = (
    socket: Duplex,
    tunnel: Tunnel,
    connection: AgentConnection,
    principal: Principal,
  ): CutBy => {
    let cutBy: EngineError | undefined;
    const leave = privateEdge.admit(tunnel, connection, principal, (error) => {
      cutBy = error;
      breakOff(socket);
    });
    if (socket.closed) leave();
    else socket.once('close', leave);
    return () => cutBy;
  };

  const serve = async (socket: Duplex, request: PrivateDialRequest, connection: AgentConnection) => {
    const { details, target, zeroRtt, datagramChannel } = request;
    const principal = await authenticate(details, connection, PERMISSIONS.manageStreams, needs);
    held.hold(principal, socket);
    if (datagramChannel) throw fail('FEATURE_NOT_AVAILABLE', { feature: 'A datagram channel over TLS' });
    const tunnel = find(target);
    const cutBy = admit(socket, tunnel, connection, principal);
    if (tunnel.properties.protocol === 'http') {
      if (!zeroRtt) await write(socket, { kind: 'private-dial-accepted', streamId: newStreamId() });
      return privateEdge.serveHttp(socket, connection, tunnel);
    }
    return join(socket, tunnel, connection, { zeroRtt, credentialId: principal.credentialId, cutBy });
  };

  return {
    /** Serves one dialer to the end. What it throws comes before the first byte of payload, and is for the dialer. */
    async serve(socket: Duplex, request: PrivateDialRequest, connection: AgentConnection): Promise<void> {
      runningCount += 1;
      try {
        await serve(socket, request, connection);
      } finally {
        runningCount -= 1;
      }
    },

    /** Dialers that wait or are being relayed. */
    get runningCount(): number {
      return runningCount;
    },
  };
};

/** Resolves when the frame is flushed or the socket is gone, which the relay then notices. */
const write = async (socket: Duplex, message: Message): Promise<void> => {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    socket.write(encodeFrame(message), () => resolve());
  });
};
