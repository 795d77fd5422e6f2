/**
 * A row of the records: its columns, and what they hold.
 */

type Text = string | null;

/** One record as it is kept; null is what was not known, or is not there. Times are in milliseconds, `at` since 1970. */
export interface StoredRecord {
  readonly at: number;
  readonly kind: string;
  readonly duration_ms: number;
  readonly wait_ms: number | null;
  readonly first_byte_ms: number | null;
  readonly address: string;
  readonly port: number;
  readonly country: Text;
  readonly server_name: Text;
  readonly alpn: Text;
  readonly tls_version: Text;
  readonly cipher: Text;
  /** 1 or 0. */
  readonly post_quantum: number | null;
  /** By name, with spaces between them. */
  readonly offered_groups: Text;
  readonly ja4: Text;
  readonly protocol: Text;
  readonly method: Text;
  readonly host: Text;
  /** Without the query. */
  readonly path: Text;
  readonly user_agent: Text;
  readonly tunnel_id: Text;
  readonly tunnel_name: Text;
  readonly agent_id: Text;
  readonly credential_id: Text;
  readonly stream_id: Text;
  readonly dialer_credential_id: Text;
  /** `allowed` or `denied`; null where no tunnel was found to judge it. */
  readonly decision: Text;
  readonly status: number;
  readonly code: Text;
  readonly error_id: Text;
  readonly bytes_up: number;
  readonly bytes_down: number;
  readonly ended_by: string;
  readonly reason: string;
}

/** A stored record with its number: the higher, the later. */
export type FoundRecord = StoredRecord & { readonly id: number };

/** In the order of the table. */
export const RECORD_COLUMNS = {
  at: 'INTEGER NOT NULL',
  kind: 'TEXT NOT NULL',
  duration_ms: 'REAL NOT NULL',
  wait_ms: 'REAL',
  first_byte_ms: 'REAL',
  address: 'TEXT NOT NULL',
  port: 'INTEGER NOT NULL',
  country: 'TEXT',
  server_name: 'TEXT',
  alpn: 'TEXT',
  tls_version: 'TEXT',
  cipher: 'TEXT',
  post_quantum: 'INTEGER',
  offered_groups: 'TEXT',
  ja4: 'TEXT',
  protocol: 'TEXT',
  method: 'TEXT',
  host: 'TEXT',
  path: 'TEXT',
  user_agent: 'TEXT',
  tunnel_id: 'TEXT',
  tunnel_name: 'TEXT',
  agent_id: 'TEXT',
  credential_id: 'TEXT',
  stream_id: 'TEXT',
  dialer_credential_id: 'TEXT',
  decision: 'TEXT',
  status: 'INTEGER NOT NULL',
  code: 'TEXT',
  error_id: 'TEXT',
  bytes_up: 'INTEGER NOT NULL',
  bytes_down: 'INTEGER NOT NULL',
  ended_by: 'TEXT NOT NULL',
  reason: 'TEXT NOT NULL',
} as const satisfies Record<keyof StoredRecord, string>;
export const RECORD_NAMES = Object.keys(RECORD_COLUMNS) as (keyof StoredRecord)[];
