/** Admins, and what is told of them, as others may see it: nothing in here is a secret. */
import type { ErrorCode } from '../base/errors.ts';
import type { AdminRole, AdminRow } from './admin-table.ts';

/** An admin as others may see it. Times are milliseconds since 1970. */
export interface Admin {
  readonly id: string;
  readonly name: string;
  readonly role: AdminRole;
  /** False until the first login by a link. */
  readonly hasPassword: boolean;
  /** Whether a second factor is asked for. */
  readonly hasTotp: boolean;
  /** Grows with each change. */
  readonly version: number;
  readonly createdAt: number;
  readonly lastLoginAt?: number;
}

/** Something that an admin did, or somebody tried. */
export interface AdminEvent {
  /** `admin.<verb>` or `session.<verb>`. */
  readonly action: string;
  readonly object: string;
  readonly name?: string;
  readonly result: 'ok' | ErrorCode;
  /** Who, where the proof came with the request itself. */
  readonly actor?: string;
}

export const adminFrom = (row: AdminRow): Admin => ({
  id: row.id,
  name: row.name,
  role: row.role,
  hasPassword: row.passwordHash !== null,
  hasTotp: row.totp !== null,
  version: row.version,
  createdAt: row.createdAt,
  ...(row.lastLoginAt !== null && { lastLoginAt: row.lastLoginAt }),
});
