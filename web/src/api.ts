/**
 * The Admin API as the page asks it: same origin, by the cookie that scripts cannot read.
 *
 * Invariant: nothing is kept in storage or put into an address; a session that has ended is told to one place.
 */
import { S } from './strings.ts';

/** A refusal, in the words of the engine. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly total: number;
  readonly next?: string;
}

export interface Admin {
  readonly id: string;
  readonly name: string;
  readonly role: 'admin' | 'viewer';
  readonly has_password: boolean;
  readonly has_totp: boolean;
  readonly etag: string;
  readonly last_login_at?: string;
}

export interface Me {
  readonly admin: Admin;
  readonly session_id: string;
}

export interface Credential {
  readonly id: string;
  readonly name: string;
  readonly state: 'live' | 'expired' | 'revoked';
  readonly permissions: readonly string[] | null;
  readonly expires_at?: string;
  readonly agent_count: number;
  readonly tunnel_count: number;
  readonly stream_count: number;
  readonly etag: string;
}

let onEnded: () => void = () => {};
/** Called when the engine says that the session is over. */
export const whenSessionEnds = (listener: () => void): void => {
  onEnded = listener;
};

interface AskOptions {
  readonly body?: unknown;
  readonly etag?: string;
  /** The page refreshes itself: that keeps no session alive. */
  readonly isRefresh?: boolean;
}

/** @throws Refusal */
export const ask = async <Answer>(
  method: string,
  path: string,
  options: AskOptions = {},
): Promise<Answer> => {
  const response = await fetched(method, path, options);
  return (response.status === 204 ? undefined : await response.json().catch(() => undefined)) as Answer;
};

/** What is no JSON. @throws Refusal */
export const askBytes = async (path: string): Promise<ArrayBuffer> =>
  (await fetched('GET', path, {})).arrayBuffer();

const FILE_NAME = /filename="([\w.-]+)"/;

/** What is kept on the caller's disk, and how the engine calls it. @throws Refusal */
export const askFile = async (path: string, body: object): Promise<{ content: Blob; name: string }> => {
  const response = await fetched('POST', path, { body });
  const [, name = 'download'] = FILE_NAME.exec(response.headers.get('content-disposition') ?? '') ?? [];
  try {
    return { content: await response.blob(), name };
  } catch {
    throw new Refusal(0, 'OFFLINE', S.brokenOff);
  }
};

const fetched = async (
  method: string,
  path: string,
  { body, etag, isRefresh }: AskOptions,
): Promise<Response> => {
  let response: Response;
  try {
    response = await fetch(`/api/admin${path}`, {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(etag !== undefined && { 'if-match': etag }),
        ...(isRefresh && { 'rstream-refresh': '1' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      cache: 'no-store',
      redirect: 'error',
    });
  } catch {
    throw new Refusal(0, 'OFFLINE', S.offline);
  }
  if (response.ok) return response;
  const answer: unknown = await response.json().catch(() => undefined);
  const { code = '', detail = S.unexpected, advice = '' } = (answer ?? {}) as Record<string, string>;
  if (code === 'SESSION_ENDED' || code === 'LOGIN_REQUIRED') onEnded();
  throw new Refusal(response.status, code, `${detail} ${advice}`.trim());
};

export const sentenceOf = (thrown: unknown): string =>
  thrown instanceof Refusal ? thrown.message : S.unexpected;
