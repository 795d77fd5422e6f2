/** The page that quickstart publishes, so that there is something to see before anything is set up. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Hello from your tunnel</title>
<style>body{font:17px/1.6 system-ui,sans-serif;max-width:36em;margin:12vh auto;padding:0 1em}code{font-size:.95em}</style>
<h1>It works.</h1>
<p>This page is served by a small web server on a loopback port of your machine. No port of it is open: an agent
connected <em>outbound</em> to the engine, and the engine brought your request down that connection.</p>
<p>Publish something of your own: the terminal that runs the engine shows the line to paste.</p>
</html>
`;

/** Serves the page on a free loopback port. */
export const serveSamplePage = async (): Promise<{ server: Server; port: number }> => {
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-length': Buffer.byteLength(PAGE),
    });
    response.end(PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
};
