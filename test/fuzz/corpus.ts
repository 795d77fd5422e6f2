/** Messages to start from, one character a byte; each is legal. */

export const REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: x.test\r\n\r\n',
  'GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: x.test:8443\r\nAccept: */*\r\nUser-Agent: a (b; c) d/1.0\r\nEmpty:\r\n\r\n',
  'GET / HTTP/1.1\r\nhost:x.test\r\nCookie: a=1; b="2"\r\nX-Spaces: \t a  b \t \r\nX-High: caf\xe9 \x80\xff\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'GET / HTTP/1.0\r\nHost: x.test\r\nConnection: keep-alive\r\n\r\n',
  'HEAD /head HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: x.test\r\n\r\n',
  'GET http://x.test/absolute?a HTTP/1.1\r\nHost: x.test\r\n\r\n',
  'CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n',
  'GET /ws HTTP/1.1\r\nHost: x.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: x.test\r\nContent-Length: 5\r\n\r\nhello',
  'PUT /empty HTTP/1.1\r\nHost: x.test\r\nContent-Length: 0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: x.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok',
  'POST / HTTP/1.0\r\nHost: x.test\r\nContent-Length: 3\r\n\r\nold',
  'POST / HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\nA;name=value;q="s"\r\n0123456789\r\n1\r\n!\r\n000\r\n\r\n',
  'PATCH / HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: 7\r\nX: y\r\n\r\n',
  'POST /1 HTTP/1.1\r\nHost: x.test\r\nContent-Length: 3\r\n\r\none\r\nGET /2 HTTP/1.1\r\nHost: x.test\r\n\r\n',
];

export const RESPONSES: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nContent-Type: text/html; charset="utf-8"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 204 No Content\r\nX-High: caf\xe9 \x80\xff\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n',
  'HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nuntil the end',
  'HTTP/1.0 200 OK\r\n\r\nold, until the end',
  'HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nold',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 500 Caf\xe9 is broken\r\nTransfer-Encoding: chunked\r\n\r\nA;name=value\r\n0123456789\r\n1\r\n!\r\n0\r\nSum: 7\r\n\r\n',
];
