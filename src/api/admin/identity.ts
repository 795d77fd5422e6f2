/**
 * Who asks the Admin API: a person with a session, or a program with a token.
 *
 * Invariant: one proof a request. A token works by the permission that names this API and by its kind: only what this engine has recorded
 * itself, with that permission in the record, is believed to be an admin's. What may do everything that agents do is none.
 */
import type { Context } from 'koa';
import { fail } from '../../base/errors.ts';
import { ADMIN_PERMISSION, type Principal } from '../../base/principal.ts';
import type { Admins, Login } from '../../store/admins.ts';
import type { AuditActor } from '../../store/audit-actor.ts';
import type { VerifyToken } from '../auth.ts';
import { requireOriginOfCookie } from './guard.ts';

/** Somebody who is known. */
export interface AdminCaller {
  /** Undefined: a token that has no business here but to mint others. */
  readonly role: 'admin' | 'viewer' | undefined;
  /** As the audit log names it. */
  readonly actor: AuditActor;
  readonly login?: Login;
  readonly principal?: Principal;
}

export interface IdentityNeeds {
  readonly admins: Pick<Admins, 'resolve'>;
  readonly verifyToken: VerifyToken;
}

/** `__Host-`: set over TLS, for this host alone, by nobody else. */
const COOKIE = '__Host-rstream_admin';
const COOKIE_FLAGS = 'Path=/; Secure; HttpOnly; SameSite=Strict';
/** A request of a page that refreshes itself: it keeps no session alive, and neither does a WebSocket. */
const REFRESH_HEADER = 'rstream-refresh';

const BEARER = /^bearer +(\S+) *$/i;

export const setSessionCookie = (ctx: Context, value: string): void =>
  ctx.set('set-cookie', `${COOKIE}=${value}; ${COOKIE_FLAGS}`);

export const clearSessionCookie = (ctx: Context): void =>
  ctx.set('set-cookie', `${COOKIE}=; Max-Age=0; ${COOKIE_FLAGS}`);

const cookiesOf = (ctx: Context): string[] =>
  (ctx.req.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${COOKIE}=`))
    .map((pair) => pair.slice(COOKIE.length + 1));

/**
 * @param address of the peer
 * @returns undefined when no proof was given
 * @throws AMBIGUOUS_PROOF, SESSION_ENDED, ORIGIN_FORBIDDEN, or what the verification of a token throws
 */
export const identify = async (
  ctx: Context,
  address: string,
  { admins, verifyToken }: IdentityNeeds,
): Promise<AdminCaller | undefined> => {
  const authorizations = ctx.req.headersDistinct.authorization ?? [];
  const cookies = cookiesOf(ctx);
  if (authorizations.length + cookies.length > 1) throw fail('AMBIGUOUS_PROOF');
  const [cookie] = cookies;
  if (cookie) {
    requireOriginOfCookie(ctx);
    const { upgrade, [REFRESH_HEADER]: refresh } = ctx.req.headers;
    const login = admins.resolve(cookie, upgrade === undefined && refresh === undefined);
    const { role, name } = login.admin;
    return { role, login, actor: { actor: `admin:${name}`, origin: address } };
  }
  const [authorization] = authorizations;
  if (authorization === undefined) return undefined;
  const principal = await verifyToken(BEARER.exec(authorization)?.[1], address);
  const isAdmin = principal.kind === 'pat' && principal.permissions?.has(ADMIN_PERMISSION) === true;
  return {
    role: isAdmin ? 'admin' : undefined,
    principal,
    actor: { actor: `token:${principal.credentialId}`, origin: address },
  };
};
