/**
 * Logins and sessions of the admin page.
 *
 * Flow: the Admin API hands in a name and a password, or a one-time link and a new password, and gets a cookie; with each request it hands
 * in the cookie and gets whose it is.
 * Invariant: of a cookie only the hash is stored. A name that does not exist takes as long to refuse as a wrong password. Between a proof
 * and its session the account is looked at again: a password that was changed meanwhile opens nothing.
 * Limits: passwordChecksMax, adminSessionIdleMs, adminSessionMs, adminSessionTouchMs, adminSessionsMax; login-throttle.ts.
 */
import { EngineError, fail } from '../base/errors.ts';
import { newAdminSessionId, randomText } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret, sha256Hex } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { type Admin, type AdminEvent, adminFrom } from './admin-record.ts';
import type { AdminRow, AdminSessionRow, AdminTable } from './admin-table.ts';
import { createLoginThrottle, type LoginAttempt } from './login-throttle.ts';
import {
  checkPassword,
  hashPassword,
  isOutdated,
  isPassword,
  openWith,
  type PasswordCost,
  sealWith,
} from './password.ts';
import { stepOf } from './totp.ts';

/** Where a login comes from. */
export interface LoginOrigin {
  readonly address: string;
  /** What the browser calls itself. */
  readonly agent: string;
}

/** A browser that is logged in now. */
export interface Login {
  readonly admin: Admin;
  readonly session: AdminSessionRow;
}

export interface AdminLogins {
  /**
   * @param proof.code of the authenticator app, where the account has one
   * @throws LOGIN_INVALID, LOGIN_CODE_MISSING, LOGIN_THROTTLED
   */
  login(
    proof: { readonly name: string; readonly password: Secret; readonly code?: string | undefined },
    origin: LoginOrigin,
  ): Promise<Login & { cookie: Secret }>;
  /**
   * Uses a one-time link up: sets the password, ends all other sessions of the admin, forgets a second factor, and logs in.
   * @throws LOGIN_LINK_INVALID, LOGIN_THROTTLED, ADMIN_INVALID for a password that will not do; the link is then still good
   */
  redeemLink(
    proof: { readonly link: Secret; readonly password: Secret },
    origin: LoginOrigin,
  ): Promise<Login & { cookie: Secret }>;
  /**
   * Whose cookie it is.
   * @param isUse whether this counts as use: a page that refreshes itself does not keep its session alive
   * @throws SESSION_ENDED
   */
  resolve(cookie: string, isUse: boolean): Login;
  /** Those that have not ended, the one that was used last first. */
  sessions(): AdminSessionRow[];
  /** Throws SESSION_UNKNOWN. */
  endSession(id: string): void;
  /** Throws LOGIN_INVALID or LOGIN_THROTTLED unless it is the password of this admin. */
  confirmPassword(adminId: string, password: Secret, address: string): Promise<void>;
}

export interface AdminLoginsNeeds {
  readonly clock: Clock;
  readonly table: AdminTable;
  readonly cost: PasswordCost;
  readonly tell: (event: AdminEvent) => void;
}

const COOKIE_CHARS = 52; // 260 bits

export const createAdminLogins = ({ clock, table, cost, tell }: AdminLoginsNeeds): AdminLogins => {
  const throttle = createLoginThrottle({ clock });
  const hashing = createGate();
  let nobody: Promise<string> | undefined;

  /** The admin whose password it is. */
  const proven = async (account: AdminRow | undefined, password: Secret): Promise<AdminRow> => {
    nobody ??= hashPassword(new Secret(randomText(20)), cost);
    const isRight = await isPassword(account?.passwordHash ?? (await nobody), password);
    if (!isRight || !account?.passwordHash) throw fail('LOGIN_INVALID');
    return account;
  };

  const checkCode = async ({ id, totp }: AdminRow, password: Secret, code: string | undefined) => {
    if (totp === null) return;
    if (!code) throw fail('LOGIN_CODE_MISSING');
    const step = stepOf(await openWith(password, totp), code, clock.now());
    if (step === undefined || !table.useStep(id, step)) throw fail('LOGIN_INVALID');
  };

  /** A hash at today's cost in the place of an older one. */
  const renewed = async (account: AdminRow, password: Secret): Promise<string> => {
    const { id, passwordHash: old, totp } = account;
    if (!isOutdated(old!, cost)) return old!;
    const passwordHash = await hashPassword(password, cost);
    const sealed = totp && (await sealWith(password, await openWith(password, totp), cost));
    return table.setPassword(id, old, { passwordHash, totp: sealed }) ? passwordHash : old!;
  };

  const openSession = (adminId: string, { address, agent }: LoginOrigin): Login & { cookie: Secret } => {
    const cookie = new Secret(randomText(COOKIE_CHARS));
    const hash = sha256Hex(cookie.reveal());
    table.dropOldSessions(clock.now() - LIMITS.adminSessionMs, clock.now() - LIMITS.adminSessionIdleMs);
    for (const { id } of table.sessions().slice(LIMITS.adminSessionsMax - 1)) table.dropSession(id);
    const shown = agent.slice(0, LIMITS.clientDetailCharsMax);
    table.insertSession({ id: newAdminSessionId(), hash, adminId, address, agent: shown });
    table.noteLogin(adminId);
    return { admin: adminFrom(table.byId(adminId)!), session: table.sessionByHash(hash)!, cookie };
  };

  /** Runs a proof under its attempt, and tells how it ended. */
  const attempted = async (
    action: string,
    account: AdminRow | undefined,
    attempt: LoginAttempt,
    prove: () => Promise<Login & { cookie: Secret }>,
  ) => {
    try {
      const login = await hashing(prove);
      const { id, name } = login.admin;
      attempt.succeed(id);
      tell({ action, object: id, name, result: 'ok', actor: `admin:${name}` });
      return login;
    } catch (thrown) {
      const result = thrown instanceof EngineError ? thrown.code : 'INTERNAL';
      if (result !== 'LOGIN_INVALID' && result !== 'LOGIN_LINK_INVALID') attempt.takeBack();
      // What was typed for a name may be a password, so only names that exist are told.
      const who = account ? { object: account.id, name: account.name } : { object: 'unknown' };
      if (result !== 'LOGIN_CODE_MISSING' && result !== 'LOGIN_THROTTLED') tell({ action, ...who, result });
      throw thrown;
    }
  };

  const isLive = ({ createdAt, seenAt }: AdminSessionRow): boolean =>
    clock.now() < Math.min(createdAt + LIMITS.adminSessionMs, seenAt + LIMITS.adminSessionIdleMs);

  return {
    async login({ name, password, code }, origin) {
      const account = table.byName(name.toLowerCase());
      const attempt = throttle.begin(origin.address, account?.id);
      return attempted('session.login', account, attempt, async () => {
        const admin = await proven(account, password);
        await checkCode(admin, password, code);
        const passwordHash = await renewed(admin, password);
        return table.transact(() => {
          if (table.byId(admin.id)?.passwordHash !== passwordHash) throw fail('LOGIN_INVALID');
          return openSession(admin.id, origin);
        });
      });
    },

    async redeemLink({ link, password }, origin) {
      const attempt = throttle.begin(origin.address);
      return attempted('session.link', undefined, attempt, async () => {
        checkPassword(password);
        const passwordHash = await hashPassword(password, cost);
        return table.transact(() => {
          const admin = table.takeLink(sha256Hex(link.reveal()));
          if (!admin) throw fail('LOGIN_LINK_INVALID');
          table.setPassword(admin.id, admin.passwordHash, { passwordHash, totp: null });
          table.dropSessionsOf(admin.id);
          table.dropLinks(admin.id);
          return openSession(admin.id, origin);
        });
      });
    },

    resolve(cookie, isUse) {
      const session = table.sessionByHash(sha256Hex(cookie));
      const admin = session && table.byId(session.adminId);
      if (!admin || !isLive(session)) throw fail('SESSION_ENDED');
      if (isUse && clock.now() - session.seenAt >= LIMITS.adminSessionTouchMs) table.touch(session.id);
      return { admin: adminFrom(admin), session };
    },

    sessions: () => table.sessions().filter(isLive),

    endSession(id) {
      if (!table.dropSession(id)) throw fail('SESSION_UNKNOWN');
    },

    async confirmPassword(adminId, password, address) {
      const attempt = throttle.begin(address, adminId);
      try {
        await hashing(() => proven(table.byId(adminId), password));
        attempt.succeed(adminId);
      } catch (thrown) {
        if ((thrown as EngineError).code !== 'LOGIN_INVALID') attempt.takeBack();
        throw thrown;
      }
    },
  };
};

/** Lets a few in at once: each takes memory and a processor. */
const createGate = () => {
  let count = 0;
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (count >= LIMITS.passwordChecksMax) throw fail('LOGIN_THROTTLED', { retrySeconds: 1 });
    count += 1;
    try {
      return await work();
    } finally {
      count -= 1;
    }
  };
};
