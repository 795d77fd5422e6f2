/**
 * Who a connection is from, and whether that source may have another one: the first question to every accepted socket.
 *
 * Flow: engine.ts makes one for all listeners, so that a source has one share of the engine; each listener asks it before it reads.
 * Behind a trusted proxy the PROXY header tells the address, and limits and logs go by that. A proxy's own connections (LOCAL,
 * UNKNOWN) are its own, and exempt.
 * Invariant: a socket has a place from here to its 'close', whoever owns it by then; a refused one is gone when `arrive` returns.
 * Limits: per source by options (source-limits.ts); tlsHandshakeMsMax for a header.
 */
import type { Socket } from 'node:net';
import { engineErrorFrom } from '../base/errors.ts';
import { type AddressSet, addressWithPort, canonicalAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { ProxyHeader } from '../base/proxy-protocol.ts';
import type { Clock } from '../base/time.ts';
import { createDrops, type DropReason, type Drops } from './drops.ts';
import { readProxyHeader } from './proxy-header.ts';
import { createSourceLimits, type SourceLimitsOptions } from './source-limits.ts';

/** Where a connection comes from, and where and when it came in. */
export interface Arrival {
  /** Canonical (base/ip.ts), as a trusted proxy told it where there is one. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** What the peer connected to, as the proxy told it where there is one. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
}

export interface ArrivalsNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  /** The peers whose connections begin with a PROXY header, and nobody else's. */
  readonly trustedProxies: AddressSet;
  /** Whether a source is known to have many connections for good reason, and so is not limited. */
  isExempt(address: string): boolean;
}

export interface Arrivals {
  /**
   * Asks who a freshly accepted socket is from, and takes a place for it. The socket has an 'error' listener already; behind a header
   * it is paused. Never rejects.
   * @returns undefined when there is nothing to serve: the peer has left, its header was refused, or its source has too many
   * connections; the socket is then destroyed, and the log has been told
   */
  arrive(socket: Socket): Promise<Arrival | undefined>;
  /** Closes a connection that its listener has no room for, without a word to the peer. */
  drop(socket: Socket, reason: DropReason, limit: number): void;
  /** Ends the connections whose header is awaited. */
  destroy(): void;
  readonly drops: Drops;
}

/** Makes the door's book. */
export const createArrivals = (needs: ArrivalsNeeds, options: SourceLimitsOptions): Arrivals => {
  const { clock, log, trustedProxies } = needs;
  const isExempt = (address: string) => trustedProxies.has(address) || needs.isExempt(address);
  const sources = createSourceLimits({ clock, isExempt }, options);
  const drops = createDrops(needs);
  const awaited = new Set<Socket>();

  // Asked for at once, as the system forgets a peer together with its connection.
  const ownOf = (socket: Socket): Arrival => ({
    remoteAddress: canonicalAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localAddress: canonicalAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    acceptedAt: clock.now(),
  });

  /** As the proxy tells it. */
  const toldBy = async (socket: Socket, own: Arrival): Promise<Arrival | undefined> => {
    const remote = addressWithPort(own.remoteAddress, own.remotePort);
    awaited.add(socket);
    try {
      const header = await readProxyHeader(socket, clock, LIMITS.tlsHandshakeMsMax);
      if (header) return { ...own, ...endsFrom(header) };
      log.debug({ remote }, 'the proxy left before its PROXY header was complete');
    } catch (thrown) {
      const error = engineErrorFrom(thrown);
      log.warn({ code: error.code, errorId: error.errorId, remote }, error.message);
    } finally {
      awaited.delete(socket);
    }
    socket.destroy();
    return undefined;
  };

  /** The system names every peer but one that has reset the connection: what it sent would count for nobody, and be forwarded for nobody. */
  const leave = (socket: Socket): undefined => {
    log.debug({}, 'a peer left before it could be told who it is');
    socket.destroy();
  };

  const drop = (socket: Socket, reason: DropReason, limit: number, arrival: Arrival) => {
    drops.note(reason, limit, arrival);
    // A reset leaves nothing behind here; a close would leave an entry in the system's table for a minute.
    socket.resetAndDestroy();
  };

  return {
    async arrive(socket) {
      const own = ownOf(socket);
      if (own.remoteAddress === '') return leave(socket);
      const arrival = trustedProxies.has(own.remoteAddress) ? await toldBy(socket, own) : own;
      if (!arrival || socket.destroyed) return undefined;
      const place = sources.take(arrival.remoteAddress);
      if ('release' in place) {
        socket.once('close', place.release);
        return arrival;
      }
      drop(socket, place.reason, place.limit, arrival);
      return undefined;
    },
    drop: (socket, reason, limit) => drop(socket, reason, limit, ownOf(socket)),
    destroy() {
      for (const socket of awaited) socket.destroy();
    },
    drops,
  };
};

/** What a header tells of a connection; nothing where it has no source. */
const endsFrom = ({ source, destination }: ProxyHeader): Partial<Arrival> => ({
  ...(source && { remoteAddress: source.address, remotePort: source.port }),
  ...(destination && { localAddress: destination.address, localPort: destination.port }),
});
