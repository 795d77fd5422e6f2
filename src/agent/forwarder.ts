/**
 * Answers dial requests: joins a dial-back to the engine with a connection to the upstream.
 *
 * Flow: the upstream is connected first and the dial-back opened only then. A zero-RTT dial-back has no room for an error, so a refused
 * upstream must be known while the engine can still be told, and can tell its downstream.
 * Limits: agentDialsMax at once, agentStreamsMax in all.
 */
import type { Socket } from 'node:net';
import { breakOff } from '../base/break-off.ts';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import { type Clock, inBackground } from '../base/time.ts';
import type { DialRequest } from './channel.ts';
import { clientDetails } from './client-details.ts';
import type { Connector } from './connection.ts';
import { type RelayEnd, relay, relayEndOf } from './relay.ts';
import { type Address, requireOpen, startTcp, upstreamConnected } from './tcp.ts';

/** Made by {@link createForwarder}. */
export interface Forwarder {
  /**
   * Resolves when the stream runs.
   * Rejects with UPSTREAM_UNREACHABLE, AGENT_BUSY, or the connector's error when the dial-back cannot be opened.
   */
  answerDial(request: DialRequest, upstream: Address): Promise<void>;
  /** Breaks every stream, gives up every dial, and resolves when none of them has anything pending. */
  close(): Promise<void>;
}

/** @param version of the program, for the details that a dial-back carries */
export const createForwarder = (
  needs: { clock: Clock; connector: Connector },
  version: string | undefined,
): Forwarder => {
  const sockets = new Set<Socket>();
  const dials = new Set<Promise<void>>();

  const dialBack = async ({ streamId, secret }: DialRequest, upstream: Socket): Promise<RelayEnd> => {
    const connection = await needs.connector.connect();
    try {
      // It may have broken meanwhile, which the engine is told now: a stream that is reset in its first moment may never reach it.
      requireOpen(upstream, 'it closed the connection');
    } catch (thrown) {
      connection.destroy();
      throw thrown;
    }
    const details = clientDetails(secret === undefined ? undefined : new Secret(secret), version);
    connection.send({ kind: 'dial-back', details, streamId, zeroRtt: true });
    return connection.detach();
  };

  const join = async (request: DialRequest, upstream: Address): Promise<void> => {
    const socket = startTcp(upstream);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    try {
      await upstreamConnected(needs.clock, socket);
      const stream = await dialBack(request, socket);
      // Whatever happens to a running stream is between its two ends.
      inBackground(relay(relayEndOf(socket), stream), () => {});
    } catch (thrown) {
      socket.destroy();
      throw thrown;
    }
  };

  return {
    async answerDial(request, upstream) {
      if (dials.size >= LIMITS.agentDialsMax) throw fail('AGENT_BUSY', { limit: LIMITS.agentDialsMax });
      if (sockets.size >= LIMITS.agentStreamsMax) throw fail('AGENT_BUSY', { limit: LIMITS.agentStreamsMax });
      const dial = join(request, upstream);
      dials.add(dial);
      try {
        await dial;
      } finally {
        dials.delete(dial);
      }
    },
    async close() {
      for (const socket of sockets) breakOff(socket);
      await Promise.allSettled(dials);
    },
  };
};
