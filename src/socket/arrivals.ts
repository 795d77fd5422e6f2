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
import { type AddressSet, canonicalAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import { createDrops, type DropReason, type Drops } from './drops.ts';
import { readProxyHeader } from './proxy-header.ts';
import { createSourceLimits, type SourceLimitsOptions } from './source-limits.ts';

/** Where a connection comes from, and where and when it came in. */
export interface Arrival {
  /** Canonical (base/ip.ts), as a trusted proxy told it where there is one; '' when the peer was gone before the system could be asked. */
  readonly remoteAddress: string;
  readonly remotePort: number;
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

export interface ArrivalsOptions extends SourceLimitsOptions {
  /** What lines about dropped connections call the limit. */
  readonly connectionsMax: number;
}

export interface Arrivals {
  /**
   * Asks who a freshly accepted socket is from, and takes a place for it. The socket has an 'error' listener already.
   * @returns undefined when the peer has left, or was dropped because its source has too many connections
   * @throws PROXY_HEADER_MALFORMED, PROXY_HEADER_TIMEOUT; closing the socket is then the caller's
   */
  arrive(socket: Socket): Promise<Arrival | undefined>;
  /** The socket's own addresses, for what is said before it has arrived. */
  ownOf(socket: Socket): Arrival;
  /** Closes a connection at once, without a word to the peer. */
  drop(socket: Socket, reason: DropReason): void;
  readonly drops: Drops;
}

/** Makes the door's book. */
export const createArrivals = (needs: ArrivalsNeeds, options: ArrivalsOptions): Arrivals => {
  const { clock, trustedProxies } = needs;
  const isExempt = (address: string) => trustedProxies.has(address) || needs.isExempt(address);
  const sources = createSourceLimits({ clock, isExempt }, options);
  const drops = createDrops(needs, {
    CONNECTION_LIMIT: options.connectionsMax,
    HANDSHAKE_LIMIT: LIMITS.handshakesMax,
    SOURCE_CONNECTION_LIMIT: options.connectionsPerSource,
    SOURCE_RATE_LIMIT: options.ratePerSource,
  });

  // Asked for at once, as the system forgets a peer together with its connection.
  const ownOf = (socket: Socket): Arrival => ({
    remoteAddress: canonicalAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localPort: socket.localPort ?? 0,
    acceptedAt: clock.now(),
  });

  /** As the proxy tells it; undefined when it left before it did. */
  const toldBy = async (socket: Socket, own: Arrival): Promise<Arrival | undefined> => {
    const header = await readProxyHeader(socket, clock, LIMITS.tlsHandshakeMsMax);
    if (!header?.source) return header && own;
    return { ...own, remoteAddress: header.source.address, remotePort: header.source.port };
  };

  const dropFrom = (socket: Socket, reason: DropReason, arrival: Arrival) => {
    drops.note(reason, arrival);
    // A reset leaves nothing behind here; a close would leave an entry in the system's table for a minute.
    socket.resetAndDestroy();
  };

  return {
    async arrive(socket) {
      const own = ownOf(socket);
      const arrival = trustedProxies.has(own.remoteAddress) ? await toldBy(socket, own) : own;
      if (!arrival || socket.destroyed) return undefined;
      const place = sources.take(arrival.remoteAddress);
      if (typeof place !== 'string') {
        socket.once('close', place.release);
        return arrival;
      }
      dropFrom(socket, place, arrival);
      return undefined;
    },
    ownOf,
    drop: (socket, reason) => dropFrom(socket, reason, ownOf(socket)),
    drops,
  };
};
