/**
 * Where admins are made, changed and removed, and where one-time links come from.
 *
 * Invariant: there is always somebody with the role admin, once there was one. A second factor is sealed with the password: who sets
 * another password without the old one removes it. A link is shown once, and only its hash is kept.
 * Limits: adminsMax, adminLinkMs.
 */
import { fail } from '../base/errors.ts';
import { newAdminId, randomText } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret, sha256Hex } from '../base/secret.ts';
import type { AdminLogins, AdminLoginsNeeds } from './admin-logins.ts';
import { type Admin, adminFrom } from './admin-record.ts';
import type { AdminRole, AdminRow } from './admin-table.ts';
import { createReporter, shortened } from './credential-report.ts';
import { checkPassword, hashPassword, openWith, sealWith } from './password.ts';
import { isTotpSecret, newTotpSecret, stepOf, totpAddress } from './totp.ts';

/** A one-time link, to be shown once. */
export interface AdminLink {
  readonly record: Admin;
  readonly link: Secret;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface AdminDesk {
  /** Throws ADMIN_INVALID. */
  create(order: { readonly name: string; readonly role: AdminRole }): AdminLink;
  /** Another link; those before it are void. Throws ADMIN_NOT_FOUND. */
  link(idOrName: string): AdminLink;
  /** Oldest first. */
  list(): Admin[];
  /** Throws ADMIN_NOT_FOUND. */
  show(idOrName: string): Admin;
  /** Throws ADMIN_NOT_FOUND, ADMIN_INVALID, VERSION_OUTDATED. */
  setRole(idOrName: string, role: AdminRole, version: number): Admin;
  /** Ends all sessions and forgets a second factor. Throws ADMIN_NOT_FOUND, ADMIN_INVALID. */
  setPassword(idOrName: string, password: Secret): Promise<Admin>;
  /** Throws ADMIN_NOT_FOUND, ADMIN_INVALID. */
  remove(idOrName: string): Admin;
  /** Ends the other sessions, keeps the second factor. Throws LOGIN_INVALID, LOGIN_THROTTLED, ADMIN_INVALID. */
  changePassword(
    id: string,
    change: { readonly password: Secret; readonly next: Secret },
    session: { readonly id: string; readonly address: string },
  ): Promise<void>;
  /** A shared secret to show to the admin; nothing is kept until a code of it is given to `enableTotp`. Throws ADMIN_NOT_FOUND. */
  newTotp(id: string, issuer: string): { secret: Secret; address: Secret };
  /** Throws LOGIN_INVALID, LOGIN_THROTTLED, ADMIN_INVALID for a code that is not of this secret. */
  enableTotp(
    id: string,
    proof: { readonly password: Secret; readonly secret: Secret; readonly code: string },
    address: string,
  ): Promise<void>;
  /** Throws LOGIN_INVALID, LOGIN_THROTTLED. */
  disableTotp(id: string, password: Secret, address: string): Promise<void>;
}

// Lower case and plain letters: nobody can look like somebody else, in the audit log neither.
const NAME = /^[a-z0-9](?:[a-z0-9._@-]{0,62}[a-z0-9])?$/;
const LINK_CHARS = 40; // 200 bits

const invalid = (problem: string) => fail('ADMIN_INVALID', { problem });

export const createAdminDesk = (
  { clock, table, cost, tell }: AdminLoginsNeeds,
  { confirmPassword }: AdminLogins,
): AdminDesk => {
  const { told, toldLater } = createReporter(tell);
  const find = (idOrName: string): AdminRow => {
    const row = table.byId(idOrName) ?? table.byName(idOrName.toLowerCase());
    if (!row) throw fail('ADMIN_NOT_FOUND', { name: shortened(idOrName) });
    return row;
  };
  const shown = (id: string) => ({ record: adminFrom(find(id)) });

  const newLink = (id: string): AdminLink => {
    const link = new Secret(randomText(LINK_CHARS));
    const expiresAt = clock.now() + LIMITS.adminLinkMs;
    table.dropLinks(id);
    table.insertLink(sha256Hex(link.reveal()), id, expiresAt);
    return { ...shown(id), link, expiresAt };
  };

  /** Throws unless somebody else has the role admin. */
  const requireAnother = ({ id, role }: AdminRow): void => {
    const others = table.all().filter((row) => row.id !== id && row.role === 'admin');
    if (role === 'admin' && others.length === 0) throw invalid('nobody else has the role admin');
  };

  const setPassword = (row: AdminRow, passwordHash: string, totp: string | null): void => {
    if (!table.setPassword(row.id, row.passwordHash, { passwordHash, totp })) throw fail('VERSION_OUTDATED');
  };

  /** Changes how an admin logs in, once the present password has proved who asks. */
  const changeProven = async (
    action: string,
    id: string,
    password: Secret,
    address: string,
    change: (row: AdminRow) => Promise<() => void>,
  ): Promise<void> => {
    await toldLater(
      action,
      id,
      () => find(id),
      async (row) => {
        await confirmPassword(id, password, address);
        const finish = await change(row);
        return () => table.transact(finish) ?? shown(id);
      },
    );
  };

  return {
    create: ({ name, role }) =>
      told('admin.create', name, () => {
        if (!NAME.test(name)) throw invalid('a name has 1 to 64 of a-z, 0-9, and . _ @ - inside');
        if (table.all().length >= LIMITS.adminsMax) throw invalid(`there are ${LIMITS.adminsMax} already`);
        const id = newAdminId();
        if (!table.insert(id, name, role)) throw invalid(`the name ${name} is taken`);
        return newLink(id);
      }),
    link: (idOrName) => told('admin.link', idOrName, () => newLink(find(idOrName).id)),
    list: () => table.all().map(adminFrom),
    show: (idOrName) => adminFrom(find(idOrName)),
    setRole: (idOrName, role, version) =>
      told(`admin.role-${role}`, idOrName, () =>
        table.transact(() => {
          const row = find(idOrName);
          if (role !== 'admin') requireAnother(row);
          if (!table.setRole(row.id, role, version)) throw fail('VERSION_OUTDATED');
          return shown(row.id);
        }),
      ).record,
    setPassword: async (idOrName, password) =>
      (
        await toldLater(
          'admin.password',
          idOrName,
          () => {
            checkPassword(password);
            return find(idOrName);
          },
          async (row) => {
            const passwordHash = await hashPassword(password, cost);
            return () =>
              table.transact(() => {
                setPassword(row, passwordHash, null);
                table.dropSessionsOf(row.id);
                table.dropLinks(row.id);
                return shown(row.id);
              });
          },
        )
      ).record,
    remove: (idOrName) =>
      told('admin.remove', idOrName, () =>
        table.transact(() => {
          const row = find(idOrName);
          requireAnother(row);
          table.remove(row.id);
          return { record: adminFrom(row) };
        }),
      ).record,
    changePassword: (id, { password, next }, session) =>
      changeProven('admin.password', id, password, session.address, async (row) => {
        checkPassword(next);
        const passwordHash = await hashPassword(next, cost);
        const totp = row.totp && (await sealWith(next, await openWith(password, row.totp), cost));
        return () => {
          setPassword(row, passwordHash, totp);
          table.dropSessionsOf(id, session.id);
        };
      }),
    newTotp(id, issuer) {
      const secret = newTotpSecret();
      return { secret, address: totpAddress(secret, issuer, find(id).name) };
    },
    enableTotp: (id, { password, secret, code }, address) =>
      changeProven('admin.totp-on', id, password, address, async (row) => {
        const step = isTotpSecret(secret.reveal()) ? stepOf(secret, code, clock.now()) : undefined;
        if (step === undefined) throw invalid('the code is not of this secret: check the clock of the phone');
        const totp = await sealWith(password, secret, cost);
        return () => {
          setPassword(row, row.passwordHash!, totp);
          table.useStep(id, step);
        };
      }),
    disableTotp: (id, password, address) =>
      changeProven('admin.totp-off', id, password, address, async (row) => () => {
        setPassword(row, row.passwordHash!, null);
      }),
  };
};
