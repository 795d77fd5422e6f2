/**
 * What a downstream sees when the engine says no: a small page for browsers, JSON for everything else.
 *
 * Invariant: a refusal shows code, error id and sentence, never an address of an agent or text that the downstream sent.
 */
import { STATUS_CODES } from 'node:http';
import type { EngineError, ErrorCode } from '../base/errors.ts';
import { STREAM_PERMISSION } from '../policy/authentication-rule.ts';
import { type HeaderList, headerLines } from './http1/head.ts';
import type { DownstreamRequest } from './request.ts';

// Seconds after which trying again may help: an agent that lost its connection is usually back by then.
const RETRY_AFTER_SECONDS = 5;

/** An answer, in no version's form yet. */
export interface Refusal {
  readonly status: number;
  readonly headers: HeaderList;
  /** Absent where the answer has none, as to HEAD. */
  readonly body?: Buffer;
}

/** @param request absent when it could not be read */
export const refusalFrom = (error: EngineError, request: DownstreamRequest | undefined): Refusal => {
  const { status, retryable } = error.row;
  const isPage = request !== undefined && wantsPage(request);
  const body = Buffer.from(isPage ? pageFrom(error) : jsonFrom(error));
  const headers = [
    ...['content-type', isPage ? 'text/html; charset=utf-8' : 'application/json'],
    ...['content-length', String(body.length)],
    ...['cache-control', 'no-store'],
    ...['rstream-error', error.code],
  ];
  if (isPage) headers.push('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
  const { retrySeconds = retryable && status >= 500 ? RETRY_AFTER_SECONDS : undefined } = error.details;
  if (retrySeconds !== undefined) headers.push('retry-after', String(retrySeconds));
  const challenge = challengeFor(error.code);
  if (challenge !== undefined) headers.push('www-authenticate', challenge);
  return { status, headers, ...(request?.method !== 'HEAD' && { body }) };
};

/**
 * The same as bytes of HTTP/1.1.
 * @param closes whether the connection ends after it
 */
export const refusalBytes = (
  error: EngineError,
  request: DownstreamRequest | undefined,
  closes: boolean,
): Buffer => {
  const { status, headers, body } = refusalFrom(error, request);
  const lines = headerLines(closes ? [...headers, 'connection', 'close'] : headers);
  const head = Buffer.from(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${lines}\r\n`,
    'latin1',
  );
  return body ? Buffer.concat([head, body]) : head;
};

/** RFC 6750 3. Certificates have no scheme of HTTP's. */
const challengeFor = (code: ErrorCode): string | undefined => {
  if (code === 'TOKEN_MISSING') return REALM;
  if (code === 'AMBIGUOUS_PROOF') return `${REALM}, error="invalid_request"`;
  if (code === 'PERMISSION_MISSING')
    return `${REALM}, error="insufficient_scope", scope="${STREAM_PERMISSION}"`;
  return code.startsWith('TOKEN_') ? `${REALM}, error="invalid_token"` : undefined;
};

const REALM = 'Bearer realm="rstream"';

const wantsPage = ({ headers }: DownstreamRequest): boolean => {
  for (let i = 0; i < headers.length; i += 2)
    if ((headers[i] as string).toLowerCase() === 'accept')
      return (headers[i + 1] as string).includes('text/html');
  return false;
};

const jsonFrom = (error: EngineError): string =>
  `${JSON.stringify({ error: error.message, code: error.code, advice: error.row.advice, error_id: error.errorId })}\n`;

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const pageFrom = (error: EngineError): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${error.row.status} ${escaped(STATUS_CODES[error.row.status] ?? '')}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}small{opacity:.7}</style>
<h1>${error.row.status} ${escaped(STATUS_CODES[error.row.status] ?? '')}</h1>
<p>${escaped(error.message)}</p>
<p>${escaped(error.row.advice)}</p>
<p><small>${error.code} &middot; error id ${error.errorId}</small></p>
</html>
`;
