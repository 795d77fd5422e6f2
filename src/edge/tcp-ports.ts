/**
 * The ports of published TCP tunnels.
 *
 * Flow: control asks for a port before it opens a TCP tunnel, because only the system knows whether one is free; the tunnel then owns the port
 * until it closes, and connections on it go to the raw edge.
 * Invariant: a port that is listened on belongs to one open tunnel, or to a request that is being answered; a closed tunnel's port refuses
 * connections at once.
 */
import { randomInt } from 'node:crypto';
import { breakOff } from '../base/break-off.ts';
import { EngineError, fail } from '../base/errors.ts';
import type { TunnelId } from '../base/ids.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { EdgeConnection } from './connection.ts';
import type { RawEdge } from './raw.ts';

/** From the first port to the last, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Listens on a port; see socket/tcp-port.ts. */
export type ListenOnPort = (
  port: number,
  onConnection: (socket: Parameters<RawEdge['accept']>[0], connection: EdgeConnection) => void,
) => Promise<{ readonly port: number; close(): void }>;

/** A port for a tunnel that is about to open. */
export interface ReservedPort {
  readonly port: number;
  /** The tunnel has opened. */
  assign(tunnel: Tunnel): void;
  /** It has not. */
  release(): void;
}

export interface TcpPortsNeeds {
  readonly registry: TunnelRegistry;
  readonly listen: ListenOnPort;
  readonly accept: RawEdge['accept'];
}

export type TcpPorts = ReturnType<typeof createTcpPorts>;

/** @param range undefined: none is published (`tcp.enabled`) */
export const createTcpPorts = (
  needs: TcpPortsNeeds,
  { range }: { readonly range: PortRange | undefined },
) => {
  const { registry, listen, accept } = needs;
  /** How the port of each TCP tunnel is given back. */
  const owned = new Map<TunnelId, () => void>();
  const reserved = new Set<number>();

  registry.onClosed(({ id }) => {
    owned.get(id)?.();
    owned.delete(id);
  });

  const open = async (wanted: number): Promise<ReservedPort> => {
    let tunnel: Tunnel | undefined;
    reserved.add(wanted);
    try {
      const { port, close } = await listen(wanted, (socket, connection) => {
        if (tunnel) accept(socket, tunnel, connection);
        else breakOff(socket);
      });
      const release = () => {
        reserved.delete(port);
        close();
      };
      const assign = (opened: Tunnel) => {
        tunnel = opened;
        owned.set(opened.id, release);
      };
      return { port, assign, release };
    } catch (thrown) {
      reserved.delete(wanted);
      throw isTaken(thrown) ? fail('PORT_IN_USE', { port: wanted }, thrown) : thrown;
    }
  };

  /** Any that is free, from a place in the range that nobody can guess on. */
  const openAny = async ({ first, last }: PortRange): Promise<ReservedPort> => {
    const count = last - first + 1;
    const start = randomInt(count);
    for (let step = 0; step < count; step += 1) {
      const port = first + ((start + step) % count);
      if (reserved.has(port)) continue;
      try {
        return await open(port);
      } catch (thrown) {
        if (!(thrown instanceof EngineError) || thrown.code !== 'PORT_IN_USE') throw thrown;
      }
    }
    throw fail('PORTS_EXHAUSTED', { first, last });
  };

  return {
    /**
     * Listens on the port that a tunnel asks for, or on any of the range.
     * @throws FEATURE_NOT_AVAILABLE, PROPERTIES_INVALID, PORT_IN_USE, PORTS_EXHAUSTED, ADDRESS_UNAVAILABLE
     */
    async reserve(wanted: number | undefined): Promise<ReservedPort> {
      if (!range)
        throw fail('FEATURE_NOT_AVAILABLE', {
          feature: 'Publishing TCP (protocol tcp; the operator can set tcp.enabled)',
        });
      if (wanted === undefined) return openAny(range);
      if (wanted < range.first || wanted > range.last)
        throw fail('PROPERTIES_INVALID', {
          problem: `port must lie between ${range.first} and ${range.last}`,
        });
      if (reserved.has(wanted)) throw fail('PORT_IN_USE', { port: wanted });
      return open(wanted);
    },

    /** Closes all of them; the connections are the raw edge's. */
    close(): void {
      for (const release of owned.values()) release();
      owned.clear();
    },

    get count(): number {
      return reserved.size;
    },
  };
};

const isTaken = (thrown: unknown): boolean =>
  thrown instanceof EngineError && thrown.code === 'ADDRESS_IN_USE';
