/**
 * The agent's door: what an agent connection says first decides what it is.
 *
 * Flow: the doorstep hands in TLS sockets; an open-channel becomes a session, a dial-back meets its waiter, a private dial is relayed.
 * `dialBack` is how the rest of the engine reaches an agent.
 * Invariant: one boundary catches everything that goes wrong before a connection has its role: one line in the log with an error id,
 * and the coded refusal where the protocol has one. A connection that closes without a message is normal (`rstream doctor`).
 * Limits: firstMessageMsMax, keepAliveMs.
 */
import type { Duplex } from 'node:stream';
import { type ErrorCode, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { endedProofOf, PERMISSIONS, type Principal } from '../base/principal.ts';
import type { TrafficRecord } from '../base/record.ts';
import { type Clock, inBackground } from '../base/time.ts';
import type { DialBack } from '../stream/agent-stream.ts';
import { createRendezvous } from '../stream/rendezvous.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import { checkProtocolVersion } from '../wire/handshake.ts';
import type { Message, WireError } from '../wire/message.ts';
import { authenticate, type ProofVerifiers } from './authenticate.ts';
import { sayFarewell } from './farewell.ts';
import { readFirstMessage } from './first-message.ts';
import { createHeldStreams } from './held-streams.ts';
import { createPrivateDials, type PrivateEdge } from './private-dial.ts';
import { reportRefusal } from './refusal.ts';
import { type AgentConnection, remoteOf } from './session-view.ts';
import { createSessions } from './sessions.ts';
import type { ReservePort } from './tunnel-requests.ts';

export interface AgentDoorNeeds extends ProofVerifiers {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: TunnelRegistry;
  readonly reservePort: ReservePort;
  readonly privateEdge: PrivateEdge;
  /** Told of every private stream when it is over. */
  readonly record: (record: TrafficRecord) => void;
  /** Told of every refusal. */
  readonly countRefusal?: (code: ErrorCode) => void;
}

export interface AgentDoorOptions {
  /** The engine's version, told to agents. */
  readonly version: string;
  /** From a dial request to its dial-back (`timeouts.stream_request_seconds`). */
  readonly dialBackMs: number;
  /** Silence that a private stream survives. */
  readonly streamIdleMs: number;
}

/** An agent's connection; a TLS socket can keep TCP alive, a pair of pipes need not. */
export type AgentSocket = Duplex & { setKeepAlive?(isEnabled: boolean, initialDelayMs: number): unknown };

export type AgentDoor = ReturnType<typeof createAgentDoor>;

export const createAgentDoor = (needs: AgentDoorNeeds, options: AgentDoorOptions) => {
  const { clock, log } = needs;
  const held = createHeldStreams();
  const rendezvous = createRendezvous({ clock }, { deadlineMs: options.dialBackMs });
  const sessions = createSessions({ ...needs, rendezvous, held }, options);
  const dialBack: DialBack = async (...dial) => {
    refuseWhenDraining();
    return sessions.dialBack(...dial);
  };
  const privateDials = createPrivateDials({ ...needs, held }, { idleMs: options.streamIdleMs });
  // Each until it is closed and nobody works for it any more.
  const connections = new Map<Duplex, Promise<unknown>>();
  let isDraining = false;

  const refuseWhenDraining = () => {
    if (isDraining) throw fail('ENGINE_DRAINING');
  };

  const admit = async (socket: AgentSocket, message: Message, connection: AgentConnection): Promise<void> => {
    if (!isFirst(message)) throw fail('FIRST_MESSAGE_UNEXPECTED', { kind: message.kind });
    checkProtocolVersion(message.details.protocolVersion);
    if (message.kind === 'dial-back') {
      const greeting = message.zeroRtt ? undefined : encodeFrame({ kind: 'dial-back-result' });
      return rendezvous.arrive(message.streamId, message.details.token, socket, greeting);
    }
    refuseWhenDraining();
    if (message.kind === 'private-dial') return privateDials.serve(socket, message, connection);
    const principal = await authenticate(message.details, connection, PERMISSIONS.manageTunnels, needs);
    refuseWhenDraining();
    if (socket.destroyed || socket.readableEnded) throw fail('REQUEST_ABORTED');
    sessions.open(socket, message, principal, connection);
  };

  const serve = async (socket: AgentSocket, connection: AgentConnection): Promise<void> => {
    const remote = remoteOf(connection);
    let message: Message | undefined;
    try {
      message = await readFirstMessage(socket, clock);
      if (message) return await admit(socket, message, connection);
      log.debug({ remote }, 'agent connection closed without a message');
      sayFarewell(socket, clock);
    } catch (thrown) {
      const error = reportRefusal(needs, thrown, { remote }, 'agent connection refused');
      sayFarewell(socket, clock, { last: refusalOf(message, error) });
    }
  };

  return {
    /** Takes over a connection whose TLS handshake is complete. The socket must allow half-open connections. */
    accept(socket: AgentSocket, connection: AgentConnection): void {
      // Whoever has the socket hears of its end by 'close'; an error without a listener would end the process.
      socket.on('error', () => {});
      socket.setKeepAlive?.(true, LIMITS.keepAliveMs);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const whole = Promise.all([serve(socket, connection), closed]);
      connections.set(socket, whole);
      inBackground(
        whole.finally(() => connections.delete(socket)),
        (error) => {
          log.error({ error }, 'agent connection failed');
          socket.destroy();
        },
      );
    },

    /** One more stream through a tunnel, for edge and private dials. */
    dialBack,

    /** Sessions that are open or closing, oldest first. */
    listSessions: sessions.list,

    /** A session that is open or closing, by the id that its tunnels carry. */
    findSession: sessions.find,

    /** Whether an agent is connected from this address, or from the same IPv6 /64. */
    hasSessionFrom: sessions.hasSessionFrom,

    /** Calls at each opening and closing of a session, until the returned function is called. */
    onSession: sessions.onChange,

    /**
     * Ends the sessions, with their tunnels, and the streams whose credential is not active any more; to be called twice a second and
     * after each revocation.
     */
    recheck(isActive: (principal: Principal) => boolean): void {
      sessions.close((principal) => (isActive(principal) ? undefined : endedProofOf(principal)));
      const streamCount = held.release(isActive);
      if (streamCount > 0) log.info({ streamCount }, 'streams ended with their credential');
    },

    /** Streams that would end with each credential, by its id. */
    streamCounts: held.countByCredential,

    /** Tells an agent and ends its session; false when there is none of this id. */
    disconnect: sessions.disconnect,

    /** Refuses new work and tells all agents; running streams go on. */
    drain(): void {
      isDraining = true;
      sessions.close(() => fail('ENGINE_DRAINING'));
    },

    /** Ends everything now; resolves when nothing is left. */
    async destroy(): Promise<void> {
      isDraining = true;
      // Streams first, while they can still be told from channels: what is cut must not look whole.
      held.release(() => false);
      rendezvous.destroy(fail('ENGINE_DRAINING'));
      const ends = [...connections].map(([socket, whole]) => {
        socket.destroy();
        return whole;
      });
      await Promise.allSettled(ends);
    },

    /** What is alive, for metrics and for the proof that nothing leaks: all zero in the end. */
    counts: () => ({
      connections: connections.size,
      sessions: sessions.count,
      /** Dials that wait for their dial-back. */
      dials: rendezvous.waitingCount,
      /** Dial-backs that have arrived and are open, whoever uses them. */
      dialBacks: rendezvous.streamCount,
      /** Private dials, waiting or relayed. */
      streams: privateDials.runningCount,
    }),
  };
};

type FirstMessage = Extract<Message, { kind: 'open-channel' | 'dial-back' | 'private-dial' }>;

const isFirst = (message: Message): message is FirstMessage =>
  message.kind === 'open-channel' || message.kind === 'dial-back' || message.kind === 'private-dial';

/** The protocol's answer; a zero-RTT peer takes whatever it reads for payload, so it gets none. */
const refusalOf = (message: Message | undefined, error: WireError): Message | undefined => {
  if (message?.kind === 'open-channel') return { kind: 'channel-refused', error };
  if (message?.kind === 'dial-back' && !message.zeroRtt) return { kind: 'dial-back-result', error };
  if (message?.kind === 'private-dial' && !message.zeroRtt) return { kind: 'private-dial-refused', error };
  return undefined;
};
