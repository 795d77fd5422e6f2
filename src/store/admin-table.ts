/**
 * The rows of admins, their one-time links and their sessions.
 *
 * Invariant: the only file that knows the columns; of passwords, links and sessions it holds hashes. An admin that is removed takes its
 * links and sessions along.
 */
import type { Clock } from '../base/time.ts';
import type { Connection, Database } from './database.ts';

/** `viewer` sees everything that is no secret, `admin` also changes it. */
export const ADMIN_ROLES = ['admin', 'viewer'] as const;
export type AdminRole = (typeof ADMIN_ROLES)[number];

/** One who may log in. Times are milliseconds since 1970. */
export interface AdminRow {
  readonly id: string;
  /** Unique, lower case. */
  readonly name: string;
  readonly role: AdminRole;
  /** Null until the first login by a link. */
  readonly passwordHash: string | null;
  /** Sealed with the password (password.ts); null without a second factor. */
  readonly totp: string | null;
  /** The last time step of which a code was used. */
  readonly totpStep: number | null;
  /** Grows with each change. */
  readonly version: number;
  readonly createdAt: number;
  readonly lastLoginAt: number | null;
}

/** One browser that is logged in. */
export interface AdminSessionRow {
  readonly id: string;
  readonly adminId: string;
  /** Where the login came from. */
  readonly address: string;
  /** What the browser calls itself, cut. */
  readonly agent: string;
  readonly createdAt: number;
  readonly seenAt: number;
}

const ADMIN = `id, name, role, password_hash AS passwordHash, totp, totp_step AS totpStep, version,
  created_at AS createdAt, last_login_at AS lastLoginAt`;
const SESSION = 'id, admin_id AS adminId, address, agent, created_at AS createdAt, seen_at AS seenAt';

export type AdminTable = ReturnType<typeof createAdminTable>;

/** Prepares the statements once; every call is one synchronous look into SQLite. */
export const createAdminTable = ({ database, clock }: { database: Database; clock: Clock }) => {
  const statements = database.use(prepare);

  return {
    /** All or nothing. */
    transact: <Result>(work: () => Result): Result => database.transact(work),
    ...guardedBy(database, rows(statements, clock)),
  };
};

const prepare = (connection: Connection) => ({
  insert: connection.prepare(
    `INSERT INTO admins (id, name, role, version, created_at) VALUES (:id, :name, :role, 1, :now)
     ON CONFLICT (name) DO NOTHING`,
  ),
  byId: connection.prepare<[string], AdminRow>(`SELECT ${ADMIN} FROM admins WHERE id = ?`),
  byName: connection.prepare<[string], AdminRow>(`SELECT ${ADMIN} FROM admins WHERE name = ?`),
  all: connection.prepare<[], AdminRow>(`SELECT ${ADMIN} FROM admins ORDER BY created_at, id`),
  setRole: connection.prepare(
    'UPDATE admins SET role = :role, version = version + 1 WHERE id = :id AND version = :version',
  ),
  setPassword: connection.prepare(
    `UPDATE admins SET password_hash = :passwordHash, totp = :totp, version = version + 1
     WHERE id = :id AND password_hash IS :previousHash`,
  ),
  useStep: connection.prepare(
    'UPDATE admins SET totp_step = :step WHERE id = :id AND (totp_step IS NULL OR totp_step < :step)',
  ),
  noteLogin: connection.prepare('UPDATE admins SET last_login_at = :now WHERE id = :id'),
  remove: connection.prepare('DELETE FROM admins WHERE id = ?'),
  insertLink: connection.prepare(
    'INSERT INTO admin_links (hash, admin_id, expires_at) VALUES (:hash, :adminId, :expiresAt)',
  ),
  takeLink: connection.prepare<[string], { adminId: string; expiresAt: number }>(
    'DELETE FROM admin_links WHERE hash = ? RETURNING admin_id AS adminId, expires_at AS expiresAt',
  ),
  dropLinks: connection.prepare('DELETE FROM admin_links WHERE admin_id = :adminId OR expires_at <= :now'),
  insertSession: connection.prepare(
    `INSERT INTO admin_sessions (id, hash, admin_id, address, agent, created_at, seen_at)
     VALUES (:id, :hash, :adminId, :address, :agent, :now, :now)`,
  ),
  sessionByHash: connection.prepare<[string], AdminSessionRow>(
    `SELECT ${SESSION} FROM admin_sessions WHERE hash = ?`,
  ),
  sessions: connection.prepare<[], AdminSessionRow>(
    `SELECT ${SESSION} FROM admin_sessions ORDER BY seen_at DESC, id`,
  ),
  touch: connection.prepare('UPDATE admin_sessions SET seen_at = :now WHERE id = :id'),
  dropSession: connection.prepare('DELETE FROM admin_sessions WHERE id = ?'),
  dropSessionsOf: connection.prepare(
    'DELETE FROM admin_sessions WHERE admin_id = :adminId AND id IS NOT :exceptId',
  ),
  dropOldSessions: connection.prepare(
    'DELETE FROM admin_sessions WHERE created_at <= :createdAt OR seen_at <= :seenAt',
  ),
});

/** SQLite's own failures leave as STORE_UNAVAILABLE. */
const guardedBy = <Rows extends Record<string, (...given: never[]) => unknown>>(
  database: Database,
  calls: Rows,
): Rows =>
  Object.fromEntries(
    Object.entries(calls).map(([name, call]) => [
      name,
      (...given: never[]) => database.use(() => call(...given)),
    ]),
  ) as Rows;

const rows = (statements: ReturnType<typeof prepare>, clock: Clock) => ({
  /** False when the name is taken. */
  insert: (id: string, name: string, role: AdminRole): boolean =>
    statements.insert.run({ id, name, role, now: clock.now() }).changes === 1,
  byId: (id: string) => statements.byId.get(id),
  byName: (name: string) => statements.byName.get(name),
  all: () => statements.all.all(),
  /** False when it was changed since it had this version. */
  setRole: (id: string, role: AdminRole, version: number): boolean =>
    statements.setRole.run({ id, role, version }).changes === 1,
  /** False when the password was changed meanwhile. */
  setPassword: (
    id: string,
    previousHash: string | null,
    next: { passwordHash: string; totp: string | null },
  ): boolean => statements.setPassword.run({ id, previousHash, ...next }).changes === 1,
  /** False when a code of this step, or of a later one, was used already. */
  useStep: (id: string, step: number): boolean => statements.useStep.run({ id, step }).changes === 1,
  noteLogin: (id: string) => void statements.noteLogin.run({ id, now: clock.now() }),
  remove: (id: string) => void statements.remove.run(id),

  insertLink: (hash: string, adminId: string, expiresAt: number) =>
    void statements.insertLink.run({ hash, adminId, expiresAt }),
  /** Whose link it was; it is gone from now on. */
  takeLink(hash: string): AdminRow | undefined {
    const link = statements.takeLink.get(hash);
    return link && link.expiresAt > clock.now() ? statements.byId.get(link.adminId) : undefined;
  },
  /** The links of an admin, and those that have expired. */
  dropLinks: (adminId: string) => void statements.dropLinks.run({ adminId, now: clock.now() }),

  insertSession: (session: { id: string; hash: string; adminId: string; address: string; agent: string }) =>
    void statements.insertSession.run({ ...session, now: clock.now() }),
  sessionByHash: (hash: string) => statements.sessionByHash.get(hash),
  /** The one that was used last first. */
  sessions: () => statements.sessions.all(),
  touch: (id: string) => void statements.touch.run({ id, now: clock.now() }),
  /** False when there was none. */
  dropSession: (id: string): boolean => statements.dropSession.run(id).changes === 1,
  dropSessionsOf: (adminId: string, exceptId: string | null = null) =>
    void statements.dropSessionsOf.run({ adminId, exceptId }),
  /** Those that were made, or used last, before these times. */
  dropOldSessions: (createdAt: number, seenAt: number) =>
    void statements.dropOldSessions.run({ createdAt, seenAt }),
});
