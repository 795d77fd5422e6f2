/**
 * Serves one row of the Admin API: who asks, whether they may, what they send, and what the audit log hears of it.
 *
 * Invariant: default deny: nothing runs before the row's `access` was met. A change is in the audit log once, whether it was done or
 * refused, in the name of who asked; refusals of people that nobody knows are not, as anyone could fill the log with them.
 * Limits: adminBodyBytesMax.
 */
import type { Context } from 'koa';
import type { z } from 'zod';
import { engineErrorFrom, fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { ADMIN_PERMISSION } from '../../base/principal.ts';
import type { AuditLog } from '../../store/audit.ts';
import type { AuditActors, AuditScope } from '../../store/audit-actor.ts';
import { type AdminCaller, type IdentityNeeds, identify } from './identity.ts';
import type { AdminRequest, AdminRoute } from './route.ts';

export interface ServeRouteNeeds extends IdentityNeeds {
  readonly audit: Pick<AuditLog, 'record'>;
  readonly actors: AuditActors;
}

/** The parts of a path that its row has named. */
type PathIds = Pick<AdminRequest, 'id' | 'subId'>;

/** @param address of the peer */
export const serveRoute = async (
  ctx: Context,
  ids: PathIds,
  address: string,
  row: AdminRoute,
  needs: ServeRouteNeeds,
): Promise<void> => {
  // A cookie that is no good must not keep anybody from logging in.
  const caller = row.access === 'anyone' ? undefined : await identify(ctx, address, needs);
  const actor = caller?.actor ?? { actor: 'nobody', origin: address };
  const tell = (result: string) => {
    if (row.action && caller)
      needs.audit.record({ ...actor, action: row.action, object: objectOf(ids), result });
  };
  let request: AdminRequest;
  try {
    request = await admitted(ctx, ids, address, row, caller);
  } catch (thrown) {
    tell(engineErrorFrom(thrown).code);
    throw thrown;
  }
  const answer = await toldAnswer(row, request, needs.actors.scopeOf(actor), tell);
  if (row.status === 101) return;
  if (row.answers || row.isDownload) {
    ctx.status = row.status ?? 200;
    ctx.body = answer;
  } else ctx.status = 204;
};

const objectOf = ({ id, subId }: PathIds): string => [id, subId].filter(Boolean).join('/') || 'admin api';

const admitted = async (
  ctx: Context,
  ids: PathIds,
  address: string,
  row: AdminRoute,
  caller: AdminCaller | undefined,
): Promise<AdminRequest> => {
  requireAccess(row.access, caller);
  if (row.isVersioned && !ctx.req.headers['if-match']) throw fail('VERSION_MISSING');
  return {
    ctx,
    ...ids,
    caller,
    body: row.body && checked(row.body, await jsonBody(ctx)),
    query: row.query && checked(row.query, { ...ctx.query }),
    origin: { address, agent: ctx.req.headers['user-agent'] ?? '' },
  };
};

const requireAccess = (access: AdminRoute['access'], caller: AdminCaller | undefined): void => {
  if (access === 'anyone') return;
  if (!caller) throw fail('LOGIN_REQUIRED');
  if (access === 'token') return;
  if (access === 'person') {
    if (!caller.login) throw fail('LOGIN_REQUIRED');
    return;
  }
  if (!caller.role) throw fail('PERMISSION_MISSING', { permission: ADMIN_PERMISSION });
  if (access === 'admin' && caller.role !== 'admin') throw fail('ROLE_MISSING');
};

/** Tells the audit log of a change, unless the store has done so on the way. */
const toldAnswer = async (
  row: AdminRoute,
  request: AdminRequest,
  scope: AuditScope,
  tell: (result: string) => void,
): Promise<unknown> => {
  const tellOnce = (result: string) => {
    if (!scope.isTold) tell(result);
  };
  try {
    const answer = await scope.run(async () => row.answer(request));
    tellOnce('ok');
    return answer;
  } catch (thrown) {
    tellOnce(engineErrorFrom(thrown).code);
    throw thrown;
  }
};

const checked = (schema: z.ZodType, value: unknown): unknown => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.');
  throw fail('ADMIN_REQUEST_INVALID', { problem: path ? `${path}: ${issue?.message}` : issue?.message });
};

// A form cannot send this type, so no page but ours can without being asked first (CORS).
const JSON_TYPE = /^application\/json *(?:; *charset=utf-8)?$/i;

const jsonBody = async (ctx: Context): Promise<unknown> => {
  if (!JSON_TYPE.test(ctx.req.headers['content-type'] ?? ''))
    throw fail('ADMIN_REQUEST_INVALID', { problem: 'its content-type is not application/json' });
  const chunks: Buffer[] = [];
  let byteCount = 0;
  // The connection has to carry the refusal still.
  const bytes: AsyncIterable<Buffer> = ctx.req.iterator({ destroyOnReturn: false });
  for await (const chunk of bytes) {
    byteCount += chunk.length;
    if (byteCount > LIMITS.adminBodyBytesMax)
      throw fail('ADMIN_BODY_TOO_LARGE', { limit: LIMITS.adminBodyBytesMax });
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw fail('ADMIN_REQUEST_INVALID', { problem: 'it is not JSON' });
  }
};
