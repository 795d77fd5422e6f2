/**
 * The people of the admin page: who they are, how they prove it, and where they are logged in.
 *
 * Flow: the Admin API logs in and resolves cookies (admin-logins.ts); it and the command line make and change admins (admin-desk.ts).
 * Invariant: whatever changes a password or removes an admin ends the sessions it had, in this process and in others: sessions are rows.
 */
import type { Clock } from '../base/time.ts';
import { type AdminDesk, createAdminDesk } from './admin-desk.ts';
import { type AdminLogins, createAdminLogins } from './admin-logins.ts';
import type { AdminEvent } from './admin-record.ts';
import { createAdminTable } from './admin-table.ts';
import type { Database } from './database.ts';
import { PASSWORD_COST, type PasswordCost } from './password.ts';

export type { Login } from './admin-logins.ts';
export type { Admin, AdminEvent } from './admin-record.ts';
export { ADMIN_ROLES, type AdminRole, type AdminSessionRow } from './admin-table.ts';

export interface AdminsNeeds {
  readonly database: Database;
  readonly clock: Clock;
  /** Told of every login, and of everything that was done to an admin; must not throw. */
  readonly onEvent?: (event: AdminEvent) => void;
  /** What new hashes cost; PASSWORD_COST by default. */
  readonly cost?: PasswordCost;
}

export type Admins = AdminDesk & AdminLogins;

export const createAdmins = ({ database, clock, onEvent, cost = PASSWORD_COST }: AdminsNeeds): Admins => {
  const needs = {
    clock,
    cost,
    table: createAdminTable({ database, clock }),
    tell: (event: AdminEvent) => onEvent?.(event),
  };
  const logins = createAdminLogins(needs);
  return { ...createAdminDesk(needs, logins), ...logins };
};
