/**
 * The file of webhooks: who is told of what, and (webhook-deliveries.ts) what is to be told or was.
 *
 * Flow: observe/webhooks.ts opens it and holds its rows; nothing else writes to it.
 * Invariant: the file is its owner's alone and holds secrets in the clear, since they sign. A webhook that was made, changed or removed is on the
 * disk when the call returns; of deliveries a power cut, and nothing less, may lose the last moments.
 */
import { Secret } from '../base/secret.ts';
import { type Connection, type Database, openDatabase } from './database.ts';
import type { Migration } from './migrations.ts';
import { createDeliveryTable, type DeliveryTable } from './webhook-deliveries.ts';

/** Who made it: the configuration, or an admin. */
export type WebhookSource = 'config' | 'admin';

/** `failed`: it was switched off because nothing had arrived for days. */
export type WebhookState = 'enabled' | 'disabled' | 'failed';

/** Somebody who is told. Times are milliseconds since 1970. */
export interface Webhook {
  readonly id: string;
  /** Unique among those of the same source. */
  readonly name: string;
  readonly source: WebhookSource;
  readonly url: string;
  /** Filters of events (base/webhook.ts). */
  readonly events: readonly string[];
  readonly secret: Secret;
  /** The secret before, and until when it still signs beside the new one. */
  readonly oldSecret: Secret | undefined;
  readonly oldSecretUntil: number | undefined;
  readonly state: WebhookState;
  /** Attempts that failed since the last that did not. */
  readonly failureCount: number;
  /** When the first of these was. */
  readonly failingSince: number | undefined;
  readonly createdAt: number;
  /** Grows with each change that somebody made. */
  readonly version: number;
}

/** How it is with a webhook, which changes with each attempt. */
export type WebhookHealth = Pick<Webhook, 'state' | 'failureCount' | 'failingSince'>;

/** The open file. Everything in it throws STORE_UNAVAILABLE. */
export interface WebhookStore {
  readonly deliveries: DeliveryTable;
  /** Oldest first. */
  list(): Webhook[];
  /** Writes a webhook, new or changed. */
  save(webhook: Webhook): void;
  saveHealth(id: string, health: WebhookHealth): void;
  /** With its deliveries. */
  remove(id: string): void;
  close(): void;
}

export const WEBHOOK_MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    reason: 'webhooks, what is to be told them, and what was',
    sql: `
      CREATE TABLE webhooks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        source TEXT NOT NULL CHECK (source IN ('config', 'admin')),
        url TEXT NOT NULL,
        events TEXT NOT NULL CHECK (json_type(events) = 'array'),
        secret TEXT NOT NULL,
        old_secret TEXT,
        old_secret_until INTEGER,
        state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'failed')),
        failure_count INTEGER NOT NULL,
        failing_since INTEGER,
        created_at INTEGER NOT NULL,
        version INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE UNIQUE INDEX webhooks_by_name ON webhooks (source, name);

      CREATE TABLE deliveries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'expired')),
        attempt_count INTEGER NOT NULL,
        setback_count INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        tried_at INTEGER,
        status INTEGER,
        code TEXT,
        duration_ms INTEGER
      ) STRICT;

      CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, number);
      CREATE INDEX deliveries_waiting ON deliveries (webhook_id, number) WHERE state = 'waiting';
      CREATE INDEX deliveries_by_age ON deliveries (created_at) WHERE state = 'waiting';
      CREATE INDEX deliveries_over ON deliveries (number) WHERE state <> 'waiting';
    `,
  },
];

interface Row extends Omit<Webhook, 'events' | 'secret' | 'oldSecret' | 'oldSecretUntil' | 'failingSince'> {
  readonly events: string;
  readonly secret: string;
  readonly oldSecret: string | null;
  readonly oldSecretUntil: number | null;
  readonly failingSince: number | null;
}

/** Opens the file, or makes it. Throws STORE_UNAVAILABLE or STORE_TOO_NEW. */
export const openWebhookStore = (path: string): WebhookStore => {
  const database = openDatabase({ path, mode: 'create', migrations: WEBHOOK_MIGRATIONS, isExpendable: true });
  const statements = database.use(prepare);
  return {
    deliveries: createDeliveryTable(database),
    list: () => database.use(() => statements.all.all().map(webhookFrom)),
    save: (webhook) => durably(database, () => statements.save.run(rowFrom(webhook))),
    saveHealth: (id, { state, failureCount, failingSince = null }) =>
      void database.use(() => statements.saveHealth.run({ id, state, failureCount, failingSince })),
    remove: (id) => durably(database, () => statements.remove.run(id)),
    close: () => database.close(),
  };
};

/** The one commit waits for the disk, and takes along what was committed before. */
const durably = (database: Database, work: () => unknown): void => {
  database.use((connection) => {
    connection.pragma('synchronous = FULL');
    try {
      work();
    } finally {
      connection.pragma('synchronous = NORMAL');
    }
  });
};

const prepare = (connection: Connection) => ({
  all: connection.prepare<[], Row>(
    `SELECT id, name, source, url, events, secret, old_secret AS oldSecret, old_secret_until AS oldSecretUntil, state,
       failure_count AS failureCount, failing_since AS failingSince, created_at AS createdAt, version
     FROM webhooks ORDER BY created_at, id`,
  ),
  save: connection.prepare(
    `INSERT INTO webhooks VALUES (:id, :name, :source, :url, :events, :secret, :oldSecret, :oldSecretUntil, :state,
       :failureCount, :failingSince, :createdAt, :version)
     ON CONFLICT (id) DO UPDATE SET name = :name, url = :url, events = :events, secret = :secret, old_secret = :oldSecret,
       old_secret_until = :oldSecretUntil, state = :state, failure_count = :failureCount, failing_since = :failingSince,
       version = :version`,
  ),
  saveHealth: connection.prepare(
    'UPDATE webhooks SET state = :state, failure_count = :failureCount, failing_since = :failingSince WHERE id = :id',
  ),
  remove: connection.prepare('DELETE FROM webhooks WHERE id = ?'),
});

const webhookFrom = (row: Row): Webhook => ({
  ...row,
  events: JSON.parse(row.events) as string[],
  secret: new Secret(row.secret),
  oldSecret: row.oldSecret === null ? undefined : new Secret(row.oldSecret),
  oldSecretUntil: row.oldSecretUntil ?? undefined,
  failingSince: row.failingSince ?? undefined,
});

const rowFrom = (webhook: Webhook): Row => ({
  ...webhook,
  events: JSON.stringify(webhook.events),
  secret: webhook.secret.reveal(),
  oldSecret: webhook.oldSecret?.reveal() ?? null,
  oldSecretUntil: webhook.oldSecretUntil ?? null,
  failingSince: webhook.failingSince ?? null,
});
