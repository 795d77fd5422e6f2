/**
 * What an endpoint of the Admin API is: one row with all that serving, auditing and documenting it takes.
 *
 * Flow: the *-routes.ts files make rows; serve-route.ts serves them; openapi.ts describes them.
 */
import type { Context } from 'koa';
import type { z } from 'zod';
import type { LoginOrigin } from '../../store/admin-logins.ts';
import type { AdminCaller } from './identity.ts';

/** A request that was let in and is well-formed. */
export interface AdminRequest<Body = unknown, Query = unknown> {
  readonly ctx: Context;
  /** The part of the path that the row calls `:id`. */
  readonly id: string;
  /** The other part that it names, whatever it calls it; '' where it has none. */
  readonly subId: string;
  readonly body: Body;
  readonly query: Query;
  /** Undefined only where a row lets anyone in. */
  readonly caller: AdminCaller | undefined;
  readonly origin: LoginOrigin;
}

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /api/admin. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** `anyone` needs no proof, `token` any that is valid, `person` a session; the others a role. */
  readonly access: 'anyone' | 'token' | 'person' | 'viewer' | 'admin';
  /** How the audit log calls it: every change has a name, and every look at what people sent. */
  readonly action?: string;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  /** Needs If-Match: what is changed may have been changed by others. */
  readonly isVersioned?: boolean;
  /** Absent: 204. */
  readonly answers?: z.ZodType;
  /** Of the answer; JSON by default. */
  readonly mediaType?: string;
  /** In place of `answers`: bytes, which nobody but the caller's disk takes for anything. */
  readonly isDownload?: true;
  /** 200 by default; 101 where `answer` makes a WebSocket of the connection, and `answers` is what each of its messages is. */
  readonly status?: 101 | 201;
  answer(request: AdminRequest): unknown;
}

type Given<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** Ties what a row answers with to what it says of body and query. */
export const route = <
  Body extends z.ZodType | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
>(
  row: Omit<AdminRoute, 'answer' | 'body' | 'query'> & {
    readonly body?: Body;
    readonly query?: Query;
    answer(request: AdminRequest<Given<Body>, Given<Query>>): unknown;
  },
): AdminRoute => row as unknown as AdminRoute;
