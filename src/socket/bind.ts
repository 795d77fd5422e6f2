/**
 * Puts a server on an address, and says in the engine's own words why that failed.
 *
 * Flow: listener.ts binds the TLS port with it; every further port of the engine can.
 */
import type { AddressInfo, Server } from 'node:net';
import { fail } from '../base/errors.ts';
import { addressWithPort } from '../base/ip.ts';

/** A place to listen. Host '' or '::' is every address, IPv4 alone where IPv6 is absent; port 0 is any that is free. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Begins to listen.
 * @param setting that names the address: an operator who reads that it cannot be used is to know which to change
 * @returns the address as it was bound
 * @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE
 */
export const bind = async (
  server: Server,
  { host, port }: ListenAddress,
  setting: string,
): Promise<ListenAddress> => {
  const isAny = host === '' || host === '::';
  try {
    return await attempt(server, { host: isAny ? '::' : host, port });
  } catch (error) {
    if (isAny && NO_IPV6_CODES.includes(codeOf(error)))
      return bind(server, { host: '0.0.0.0', port }, setting);
    const address = addressWithPort(host, port);
    if (codeOf(error) === 'EADDRINUSE') throw fail('ADDRESS_IN_USE', { address, setting }, error);
    throw fail('ADDRESS_UNAVAILABLE', { address, setting, reason: codeOf(error) }, error);
  }
};

const NO_IPV6_CODES = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'];

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown reason';

const attempt = (server: Server, address: ListenAddress): Promise<ListenAddress> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      const { address: host, port } = server.address() as AddressInfo;
      resolve({ host, port });
    });
  });
