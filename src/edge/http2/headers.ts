/** Between lists of headers and the objects that node:http2 takes and gives. */
import type { OutgoingHttpHeaders } from 'node:http2';
import type { HeaderList } from '../http1/head.ts';
import type { DownstreamRequest } from '../request.ts';

/**
 * The headers of a received message without its pseudo-headers; the crumbs of a cookie joined (RFC 9113 8.2.3).
 * @param received as node:http2 gives them raw: its object would hide a header that comes twice
 */
export const headerListFrom = (received: readonly string[]): HeaderList => {
  const list: HeaderList = [];
  let cookieAt = 0;
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    if (name.startsWith(':')) continue;
    const value = received[i + 1] as string;
    if (name === 'cookie' && cookieAt > 0) {
      list[cookieAt] += `; ${value}`;
    } else {
      list.push(name, value);
      if (name === 'cookie') cookieAt = list.length - 1;
    }
  }
  return list;
};

// The values of one name may be joined (RFC 9110 5.3), and node:http2 refuses some names that come twice; these stay apart, the first by
// that RFC, the others because many clients cannot take joined challenges to pieces.
const KEPT_APART = new Set(['set-cookie', 'www-authenticate', 'proxy-authenticate']);

/**
 * A list as an object: names in lower case, values of one name in their order.
 * @param pseudo headers that stand before the list
 */
export const headerObjectFrom = (list: HeaderList, pseudo?: OutgoingHttpHeaders): OutgoingHttpHeaders => {
  // Without a prototype, which has names too.
  const headers: OutgoingHttpHeaders = Object.assign(Object.create(null), pseudo);
  for (let i = 0; i < list.length; i += 2) {
    const name = (list[i] as string).toLowerCase();
    const value = list[i + 1] as string;
    const present = headers[name];
    if (present === undefined) headers[name] = value;
    else if (KEPT_APART.has(name)) headers[name] = [present, value].flat() as string[];
    else headers[name] = `${present}${name === 'cookie' ? ';' : ','} ${value}`;
  }
  return headers;
};

// What an upgrade of HTTP/1.1 says, and an extended CONNECT says otherwise (RFC 8441 5).
const UPGRADE_ONLY = ['sec-websocket-key', 'sec-websocket-accept'];

/** A request for an HTTP/2 upstream. */
export const http2HeadersFrom = (request: DownstreamRequest, passed: HeaderList): OutgoingHttpHeaders => {
  const headers = headerObjectFrom(passed, pseudoHeadersFrom(request));
  // :authority says it.
  delete headers.host;
  if (request.upgrade !== undefined) for (const name of UPGRADE_ONLY) delete headers[name];
  return headers;
};

const pseudoHeadersFrom = ({ method, target, authority, upgrade, isConnect }: DownstreamRequest) => {
  if (isConnect) return { ':method': 'CONNECT', ':authority': target };
  const pseudo = { ':scheme': 'https', ':authority': authority, ':path': target };
  return upgrade === undefined
    ? { ':method': method, ...pseudo }
    : { ':method': 'CONNECT', ':protocol': upgrade, ...pseudo };
};

/** A response for an HTTP/2 downstream. */
export const http2AnswerFrom = (status: number, passed: HeaderList): OutgoingHttpHeaders =>
  headerObjectFrom(passed, { ':status': status });
