/**
 * Puts the admin page together: its listener, its people and its API.
 *
 * Flow: engine.ts makes one where `admin.enabled` is set; TLS sockets of the port go to api/admin/app.ts.
 * Invariant: it has its own port and shares none with downstreams or agents; its names are exact, `host:port`.
 */
import { createAdminApi } from './api/admin/app.ts';
import { fail } from './base/errors.ts';
import { addressWithPort, splitListenAddress } from './base/ip.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { Config } from './config/schema.ts';
import type { AgentDoor } from './control/accept.ts';
import type { WebhookDesk } from './observe/webhook-desk.ts';
import { readPageFiles } from './page-files.ts';
import type { Arrivals } from './socket/arrivals.ts';
import type { Certificates } from './socket/certificates.ts';
import { createTlsPort } from './socket/tls-port.ts';
import { createAdmins } from './store/admins.ts';
import type { AuditLog } from './store/audit.ts';
import type { AuditActors } from './store/audit-actor.ts';
import type { Credentials } from './store/credentials.ts';
import type { Database } from './store/database.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';
import { VERSION } from './version.ts';

export interface AdminDoorNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly database: Database;
  readonly arrivals: Arrivals;
  readonly certificates: Certificates;
  readonly registry: TunnelRegistry;
  readonly credentials: Credentials;
  readonly audit: AuditLog;
  readonly actors: AuditActors;
  readonly door: AgentDoor;
  readonly webhooks: WebhookDesk;
  isDraining(): boolean;
  connectionCounts(): { readonly downstreams: number; readonly connections: number };
  engineAddress(): string;
}

export const createAdminDoor = (needs: AdminDoorNeeds, config: Config) => {
  const { clock, database, actors, audit, door, certificates } = needs;
  const { engine, admin, tls } = config;
  const listenAddress = splitListenAddress(admin.listen_addr) ?? { host: '', port: 0 };
  let hosts: ReadonlySet<string> = new Set();

  const admins = createAdmins({
    database,
    clock,
    onEvent: (event) => audit.record(actors.complete(event)),
  });
  const api = createAdminApi(
    {
      ...needs,
      admins,
      verifyToken: needs.credentials.verify,
      listAgents: door.listSessions,
      disconnectAgent: (id) => door.disconnect(id, fail('CLOSED_BY_ADMIN')),
      certificateEnds: () => certificates.current().map(({ expiresAt }) => expiresAt),
      hosts: () => hosts,
    },
    {
      version: VERSION,
      engineHost: engine.host,
      authority: { certFile: admin.ca_cert_file, keyFile: admin.ca_key_file },
      pageFiles: readPageFiles(),
    },
  );
  const port = createTlsPort(
    { ...needs, onConnection: (socket, arrival) => api.accept(socket, arrival) },
    {
      listenAddress,
      setting: 'admin.listen_addr',
      connectionsMax: LIMITS.adminConnectionsMax,
      versionMin: tls.min_version === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2',
      postQuantum: tls.post_quantum,
    },
  );

  return {
    /** @throws ADDRESS_IN_USE, ADDRESS_UNAVAILABLE */
    async listen() {
      const address = await port.listen();
      const names = [engine.host, 'localhost', '127.0.0.1', '::1'];
      hosts = new Set([...names.map((name) => addressWithPort(name, address.port)), ...admin.hosts]);
      return address;
    },
    /** Ends every connection now; resolves when nothing is left. */
    destroy(): Promise<void> {
      api.destroy();
      return port.destroy();
    },
    get connectionCount() {
      return port.connectionCount;
    },
  };
};
