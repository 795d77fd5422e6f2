/**
 * Logging in to the admin page, and what a person changes about the own login.
 *
 * Invariant: a cookie is set only by a proof that this same request carries, and is new each time: none that somebody else has put into
 * the browser is ever taken over.
 */
import { z } from 'zod';
import { Secret } from '../../base/secret.ts';
import type { Admins, Login } from '../../store/admins.ts';
import { clearSessionCookie, setSessionCookie } from './identity.ts';
import { type AdminRequest, type AdminRoute, route } from './route.ts';
import { meFrom, meSchema } from './shapes.ts';

export interface SessionRoutesNeeds {
  readonly admins: Admins;
  /** Named by authenticator apps. */
  readonly engineHost: string;
}

/** Read into a Secret before anything else sees it. */
const secretText = z
  .string()
  .min(1)
  .max(1_000)
  .transform((text) => new Secret(text));
const code = z.string().max(20);

const personOf = ({ caller }: AdminRequest<unknown, unknown>): Login => caller!.login!;

const loggedIn = (ctx: AdminRequest['ctx'], { cookie, ...login }: Login & { cookie: Secret }) => {
  setSessionCookie(ctx, cookie.reveal());
  return meFrom(login);
};

export const sessionRoutes = ({ admins, engineHost }: SessionRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'POST',
    path: '/session',
    operationId: 'login',
    summary: 'Log in with a password, and a code where the account has a second factor.',
    access: 'anyone',
    body: z.strictObject({ name: z.string().min(1).max(100), password: secretText, code: code.optional() }),
    answers: meSchema,
    answer: async ({ ctx, body, origin }) => loggedIn(ctx, await admins.login(body, origin)),
  }),
  route({
    method: 'POST',
    path: '/session/link',
    operationId: 'loginByLink',
    summary: 'Use a one-time link up: set a password and log in.',
    access: 'anyone',
    body: z.strictObject({ link: secretText, password: secretText }),
    answers: meSchema,
    answer: async ({ ctx, body, origin }) => loggedIn(ctx, await admins.redeemLink(body, origin)),
  }),
  route({
    method: 'GET',
    path: '/session',
    operationId: 'getSession',
    summary: 'Who is logged in.',
    access: 'person',
    answers: meSchema,
    answer: (request) => meFrom(personOf(request)),
  }),
  route({
    method: 'DELETE',
    path: '/session',
    operationId: 'logout',
    summary: 'Log out.',
    access: 'person',
    action: 'session.logout',
    answer: (request) => {
      admins.endSession(personOf(request).session.id);
      clearSessionCookie(request.ctx);
    },
  }),
  route({
    method: 'POST',
    path: '/session/password',
    operationId: 'changePassword',
    summary: 'Change the own password; the other sessions end.',
    access: 'person',
    action: 'admin.password',
    body: z.strictObject({ password: secretText, next: secretText }),
    answer: (request) => {
      const { admin, session } = personOf(request);
      const { address } = request.origin;
      return admins.changePassword(admin.id, request.body, { id: session.id, address });
    },
  }),
  route({
    method: 'POST',
    path: '/session/totp/secret',
    operationId: 'newTotp',
    summary: 'A new shared secret for an authenticator app; it counts when a code of it was sent.',
    access: 'person',
    answers: z.object({ secret: z.string(), address: z.string() }),
    answer: (request) => {
      const { secret, address } = admins.newTotp(personOf(request).admin.id, engineHost);
      return { secret: secret.reveal(), address: address.reveal() };
    },
  }),
  route({
    method: 'POST',
    path: '/session/totp',
    operationId: 'enableTotp',
    summary: 'Ask for codes of this shared secret from now on.',
    access: 'person',
    action: 'admin.totp-on',
    body: z.strictObject({ password: secretText, secret: secretText, code }),
    answer: (request) => admins.enableTotp(personOf(request).admin.id, request.body, request.origin.address),
  }),
  route({
    method: 'POST',
    path: '/session/totp/off',
    operationId: 'disableTotp',
    summary: 'Ask for no codes any more.',
    access: 'person',
    action: 'admin.totp-off',
    body: z.strictObject({ password: secretText }),
    answer: (request) =>
      admins.disableTotp(personOf(request).admin.id, request.body.password, request.origin.address),
  }),
];
