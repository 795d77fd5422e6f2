/** What the edge knows of a connection that it is given. */
import type { Tunnel } from '../tunnel/tunnel.ts';

export interface EdgeConnection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly serverName?: string | undefined;
  readonly alpnProtocol?: string | undefined;
  /** The one tunnel that a private dialer has dialled, whatever authority it asks for. */
  readonly tunnel?: Tunnel;
}
