/**
 * One question through the agent of a tunnel to its upstream, where no traffic proves that the way is whole.
 *
 * Flow: observe/probes.ts decides when and whom; an HTTP tunnel is asked for an answer (probe-request.ts), every other gets a stream that
 * is opened as for a downstream, watched for a moment and ended in order.
 * Invariant: a probe is no traffic: it makes no record, moves no pulse, counts for no limit of the tunnel, and leaves neither a stream nor
 * a pool behind. It uses an idle connection where one is open.
 * Limits: its deadline, probeObservationMs, probeAnswerBytesMax.
 */
import type { Duplex } from 'node:stream';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { DialBack } from '../stream/agent-stream.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { type ConnectNeeds, connectUpstream } from './connect.ts';
import type { EdgeConnection } from './connection.ts';
import { createDialUpstream } from './dial-upstream.ts';
import type { Pools } from './pools.ts';
import { askUpstream, probeRequestFor } from './probe-request.ts';
import type { Keeper } from './sides.ts';

/**
 * Resolves when the upstream of a tunnel has proved that it is reached, and settles within the deadline.
 * @param signal aborts when nobody wants to know any more
 * @throws DIAL_BACK_TIMEOUT when the agent, UPSTREAM_TIMEOUT when the upstream took too long; UPSTREAM_CLOSED, and what a DialBack and
 * {@link connectUpstream} reject with
 */
export type ProbeTunnel = (tunnel: Tunnel, signal: AbortSignal) => Promise<void>;

export interface TunnelProbeNeeds extends ConnectNeeds {
  readonly pools: Pick<Pools, 'borrow'>;
}

export interface TunnelProbeOptions {
  /** From the begin of a probe to its failure (`probes.deadline_seconds`). */
  readonly deadlineMs: number;
  readonly userAgent: string;
}

/** On behalf of nobody: agents are told no address, and a PROXY header says that the connection is the proxy's own. */
const NOBODY: EdgeConnection = { remoteAddress: '', remotePort: 0 };
/** A connection for one question. */
const NO_POOL: Keeper = { release() {}, lose() {}, retire() {} };

export const createTunnelProbe = (needs: TunnelProbeNeeds, options: TunnelProbeOptions): ProbeTunnel => {
  const { clock, pools } = needs;
  const { deadlineMs, userAgent } = options;

  const askHttp = async (tunnel: Tunnel, dialBack: DialBack, signal: AbortSignal): Promise<void> => {
    const request = probeRequestFor(tunnel, userAgent);
    const borrowed = pools.borrow(tunnel);
    if (borrowed) {
      try {
        if (await askUpstream(borrowed.item, request, signal)) return;
      } finally {
        borrowed.done();
      }
    }
    const source = { address: NOBODY.remoteAddress };
    const connection = await connectUpstream({ ...needs, dialBack }, tunnel, 'any', NO_POOL, source, signal);
    try {
      await askUpstream(connection, request, signal);
    } finally {
      connection.destroy();
    }
  };

  const touchRaw = async (tunnel: Tunnel, dialBack: DialBack, signal: AbortSignal): Promise<void> => {
    const { socket } = await createDialUpstream({ ...needs, dialBack })(tunnel, NOBODY, signal);
    try {
      // A stream of datagrams stays open whatever becomes of the upstream.
      if (tunnel.properties.type !== 'datagram') await staysOpen(socket, clock, signal);
      await endInOrder(socket, clock, signal);
    } finally {
      socket.destroy();
    }
  };

  return async (tunnel, signal) => {
    const stop = new AbortController();
    const end = () => stop.abort();
    const deadline = clock.after(deadlineMs, end);
    signal.addEventListener('abort', end);
    let isAgentsTurn = false;
    const dialBack: DialBack = async (...dial) => {
      isAgentsTurn = true;
      const stream = await needs.dialBack(...dial);
      isAgentsTurn = false;
      return stream;
    };
    try {
      if (signal.aborted) throw fail('REQUEST_ABORTED');
      await (tunnel.properties.protocol === 'http' ? askHttp : touchRaw)(tunnel, dialBack, stop.signal);
    } catch (thrown) {
      if (signal.aborted || !stop.signal.aborted) throw thrown;
      throw fail(isAgentsTurn ? 'DIAL_BACK_TIMEOUT' : 'UPSTREAM_TIMEOUT', { seconds: deadlineMs / 1_000 });
    } finally {
      deadline.cancel();
      signal.removeEventListener('abort', end);
    }
  };
};

/**
 * Agents differ in what they do first: one that opens the stream before it has reached its upstream closes it when it does not. So a
 * stream proves something by a first byte, or by being open after a moment.
 */
const staysOpen = (socket: Duplex, clock: Clock, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const settle = (call: () => void) => () => {
      timer.cancel();
      signal.removeEventListener('abort', gone);
      socket.off('data', proved).off('end', gone).off('close', gone);
      call();
    };
    const proved = settle(resolve);
    const gone = settle(() => reject(fail(signal.aborted ? 'REQUEST_ABORTED' : 'UPSTREAM_CLOSED')));
    const timer = clock.after(LIMITS.probeObservationMs, proved);
    signal.addEventListener('abort', gone);
    socket.on('data', proved).on('end', gone).on('close', gone);
    if (signal.aborted || socket.destroyed) gone();
    else socket.resume();
  });

/** Says goodbye, and gives the other side a moment to do so too: a reset would stand in the log of the service as a fault. */
const endInOrder = (socket: Duplex, clock: Clock, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(LIMITS.probeObservationMs, done);
    signal.addEventListener('abort', done);
    if (signal.aborted || socket.destroyed) return done();
    socket.once('close', done).resume().end();
  });
