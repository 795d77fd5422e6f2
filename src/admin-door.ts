/**
 * Puts the admin page together: its listener, its people and its API.
 *
 * Flow: engine.ts makes one where `admin.enabled` is set; TLS sockets of the port go to api/admin/app.ts.
 * Invariant: it has its own port and shares none with downstreams or agents; its names are exact, `host:port`.
 */
import { createAdminApi } from './api/admin/app.ts';
import type { ServerCertificates } from './api/admin/server-certificate-routes.ts';
import { createBackupDesk } from './backup-desk.ts';
import { fail } from './base/errors.ts';
import { addressWithPort, splitListenAddress } from './base/ip.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';
import type { ConfigFile } from './cli/config-file.ts';
import type { Config } from './config/schema.ts';
import type { AgentDoor } from './control/accept.ts';
import type { Edge } from './edge/edge.ts';
import { createInspectionDesk } from './inspection.ts';
import type { History } from './observe/history.ts';
import type { Inspector } from './observe/inspector.ts';
import type { Truth } from './observe/probes.ts';
import type { Records } from './observe/records.ts';
import { createRecordsSearch } from './observe/records-search.ts';
import type { WebhookDesk } from './observe/webhook-desk.ts';
import { readPageFiles } from './page-files.ts';
import { createPolicyDesk, type PolicyDeskNeeds } from './policy-desk.ts';
import type { Arrivals } from './socket/arrivals.ts';
import type { Certificates } from './socket/certificates.ts';
import { createTlsPort } from './socket/tls-port.ts';
import { createAdmins } from './store/admins.ts';
import type { AuditLog } from './store/audit.ts';
import type { AuditActors } from './store/audit-actor.ts';
import type { Credentials } from './store/credentials.ts';
import type { Database } from './store/database.ts';
import type { Proofs } from './store/proofs.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';
import { VERSION } from './version.ts';

export interface AdminDoorNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly database: Database;
  readonly arrivals: Arrivals;
  readonly certificates: Certificates;
  readonly serverCertificates: ServerCertificates;
  readonly registry: TunnelRegistry;
  readonly credentials: Credentials;
  readonly proofs: Proofs;
  readonly audit: AuditLog;
  readonly actors: AuditActors;
  readonly door: AgentDoor;
  truthOf(tunnelId: string): Truth | undefined;
  /** Undefined where the configuration has none. */
  readonly inspector: Inspector | undefined;
  readonly replay: Edge['replay'];
  readonly webhooks: WebhookDesk;
  isDraining(): boolean;
  connectionCounts(): { readonly downstreams: number; readonly connections: number };
  engineAddress(): string;
  /** Absent where none are kept. */
  readonly records: Records | undefined;
  readonly history: History;
  readonly policies: PolicyDeskNeeds['policies'];
  readonly configFile: ConfigFile | undefined;
  countryOf(address: string): string | undefined;
  running(): Config;
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
  const recordsSearch = createRecordsSearch(needs);
  const backups = createBackupDesk(needs);
  const api = createAdminApi(
    {
      ...needs,
      admins,
      verifyToken: needs.proofs.verifyToken,
      listAgents: door.listSessions,
      findAgent: door.findSession,
      onAgent: door.onSession,
      streamCounts: door.streamCounts,
      disconnectAgent: (id) => door.disconnect(id, fail('CLOSED_BY_ADMIN')),
      certificateEnds: () => certificates.current().map(({ expiresAt }) => expiresAt),
      inspection: createInspectionDesk(needs, config),
      hosts: () => hosts,
      recordsSearch,
      backups,
      recordCounts: () => needs.records,
      policyDesk: createPolicyDesk({ ...needs, recordsSearch }),
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
    recheck: api.recheck,
    /** Ends every connection now; resolves when nothing is left. */
    async destroy(): Promise<void> {
      api.destroy();
      await Promise.all([port.destroy(), backups.destroy()]);
    },
    get connectionCount() {
      return port.connectionCount;
    },
  };
};
