/**
 * What a downstream sees when the engine says no: a small page for browsers, JSON for everything else.
 *
 * Invariant: a refusal shows code, error id and sentence, never an address of an agent or text that the downstream sent.
 */
import { STATUS_CODES } from 'node:http';
import type { EngineError } from '../base/errors.ts';
import type { DownstreamRequest } from './request.ts';

// Seconds after which trying again may help: an agent that lost its connection is usually back by then.
const RETRY_AFTER_SECONDS = 5;

/**
 * A whole HTTP/1.1 answer as bytes.
 * @param request absent when it could not be read
 * @param closes whether the connection ends after it
 */
export const refusalText = (
  error: EngineError,
  request: DownstreamRequest | undefined,
  closes: boolean,
): Buffer => {
  const { status, retryable } = error.row;
  const isPage = request !== undefined && wantsPage(request);
  const body = Buffer.from(isPage ? pageFrom(error) : jsonFrom(error));
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}`,
    `content-type: ${isPage ? 'text/html; charset=utf-8' : 'application/json'}`,
    `content-length: ${body.length}`,
    'cache-control: no-store',
    `rstream-error: ${error.code}`,
  ];
  if (isPage) lines.push("content-security-policy: default-src 'none'; style-src 'unsafe-inline'");
  if (retryable && status >= 500) lines.push(`retry-after: ${RETRY_AFTER_SECONDS}`);
  if (closes) lines.push('connection: close');
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return request?.method === 'HEAD' ? head : Buffer.concat([head, body]);
};

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
