/**
 * The people of the admin page and their sessions, and the audit log.
 *
 * Invariant: a viewer sees and ends no sessions but the own. Nobody removes or demotes the login that they ask with: a slip must not lock
 * the door from outside.
 */

import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import type { Admins } from '../../store/admins.ts';
import type { AuditLog } from '../../store/audit.ts';
import { listQuery, pageFrom, pageOf } from './listing.ts';
import { type AdminRequest, type AdminRoute, route } from './route.ts';
import {
  adminFromStore,
  adminSchema,
  auditEntryFrom,
  auditEntrySchema,
  roleSchema,
  sessionFrom,
  sessionSchema,
} from './shapes.ts';

export interface PeopleRoutesNeeds {
  readonly admins: Admins;
  readonly audit: Pick<AuditLog, 'list' | 'verify'>;
}

const linkSchema = adminSchema.extend({
  link: z.string().meta({ description: 'Opens the page once, to set a password; shown only now.' }),
  link_expires_at: z.iso.datetime(),
});

/** The fragment stays in the browser: it is in no request, log or referrer. */
export const linkPathFrom = (link: string): string => `/#link=${link}`;

const linkShape = (
  { ctx }: AdminRequest<unknown, unknown>,
  { record, link, expiresAt }: ReturnType<Admins['link']>,
) => ({
  ...adminFromStore(record),
  link: `https://${ctx.req.headers.host}${linkPathFrom(link.reveal())}`,
  link_expires_at: isoFrom(expiresAt),
});

export const peopleRoutes = (needs: PeopleRoutesNeeds): readonly AdminRoute[] => [
  ...adminRoutes(needs),
  ...sessionListRoutes(needs),
  ...auditRoutes(needs),
];

const refuseOwn = ({ id, caller }: AdminRequest<unknown, unknown>): void => {
  if (caller?.login?.admin.id === id)
    throw fail('ADMIN_INVALID', { problem: 'that is you: ask somebody else' });
};

const adminRoutes = ({ admins }: PeopleRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/admins',
    operationId: 'listAdmins',
    summary: 'Who may log in.',
    access: 'viewer',
    query: listQuery,
    answers: pageOf(adminSchema),
    answer: ({ query }) => pageFrom(admins.list().map(adminFromStore), ({ created_at }) => created_at, query),
  }),
  route({
    method: 'POST',
    path: '/admins',
    operationId: 'createAdmin',
    summary: 'Let somebody log in: the answer holds a one-time link.',
    access: 'admin',
    action: 'admin.create',
    body: z.strictObject({ name: z.string().max(200), role: roleSchema }),
    answers: linkSchema,
    status: 201,
    answer: (request) => linkShape(request, admins.create(request.body)),
  }),
  route({
    method: 'POST',
    path: '/admins/:id/link',
    operationId: 'linkAdmin',
    summary: 'Another one-time link: it sets a new password and removes the second factor.',
    access: 'admin',
    action: 'admin.link',
    answers: linkSchema,
    status: 201,
    answer: (request) => linkShape(request, admins.link(request.id)),
  }),
  route({
    method: 'PATCH',
    path: '/admins/:id',
    operationId: 'changeAdmin',
    summary: 'Give another role.',
    access: 'admin',
    action: 'admin.role',
    isVersioned: true,
    body: z.strictObject({ role: roleSchema }),
    answers: adminSchema,
    answer: (request) => {
      refuseOwn(request);
      const version = Number(request.ctx.req.headers['if-match']);
      return adminFromStore(admins.setRole(request.id, request.body.role, version));
    },
  }),
  route({
    method: 'DELETE',
    path: '/admins/:id',
    operationId: 'removeAdmin',
    summary: 'Remove an admin and end the sessions.',
    access: 'admin',
    action: 'admin.remove',
    answer: (request) => {
      refuseOwn(request);
      admins.remove(request.id);
    },
  }),
];

const sessionListRoutes = ({ admins }: PeopleRoutesNeeds): readonly AdminRoute[] => {
  const visible = ({ caller }: AdminRequest<unknown, unknown>) =>
    admins
      .sessions()
      .filter(({ adminId }) => caller?.role === 'admin' || adminId === caller?.login?.admin.id);
  return [
    route({
      method: 'GET',
      path: '/sessions',
      operationId: 'listSessions',
      summary: 'Where people are logged in; for a viewer the own sessions.',
      access: 'viewer',
      query: listQuery,
      answers: pageOf(sessionSchema),
      answer: (request) => {
        const names = new Map(admins.list().map(({ id, name }) => [id, name]));
        const ownId = request.caller?.login?.session.id;
        const shapes = visible(request).map((session) =>
          sessionFrom(session, names.get(session.adminId) ?? '', ownId),
        );
        return pageFrom(shapes, ({ created_at }) => created_at, request.query);
      },
    }),
    route({
      method: 'DELETE',
      path: '/sessions/:id',
      operationId: 'endSession',
      summary: 'Log a browser out; for a viewer one of the own.',
      access: 'viewer',
      action: 'session.end',
      answer: (request) => {
        if (!visible(request).some(({ id }) => id === request.id)) throw fail('SESSION_UNKNOWN');
        admins.endSession(request.id);
      },
    }),
  ];
};

const auditRoutes = ({ audit }: PeopleRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'GET',
    path: '/audit',
    operationId: 'listAudit',
    summary: 'The newest entries, or those before a number.',
    access: 'viewer',
    query: z.strictObject({
      limit: listQuery.shape.limit,
      before: z.coerce.number().int().min(1).optional(),
    }),
    answers: z.object({ items: z.array(auditEntrySchema) }),
    answer: ({ query: { limit, before } }) => ({ items: audit.list(limit, before).map(auditEntryFrom) }),
  }),
  route({
    method: 'GET',
    path: '/audit/verify',
    operationId: 'verifyAudit',
    summary: 'Whether no entry was changed or removed.',
    access: 'viewer',
    answers: z.object({ count: z.int(), last_number: z.int(), last_hash: z.string() }),
    answer: () => {
      const { count, lastNumber, lastHash } = audit.verify();
      return { count, last_number: lastNumber, last_hash: lastHash };
    },
  }),
];
