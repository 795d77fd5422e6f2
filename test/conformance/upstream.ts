/**
 * The upstream of the conformance tests: a small web application that answers what the tools ask and tells what it received.
 *
 * Flow: curl.ts, h2load.ts and h2spec.ts read its answers; the page that a browser loads from it posts its outcomes to `/report`.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';

/** Long enough that frames which h2spec sends behind a request arrive before its answer, even on a busy machine. */
const LATE_MS = 30;
const LARGE_BYTES = 8 * 1024 * 1024;
const PAGE = readFileSync(new URL('page.html', import.meta.url));

/** Bytes that do not repeat, so that a lost, doubled or swapped chunk changes their digest. */
const createLarge = (): Buffer => {
  const large = Buffer.alloc(LARGE_BYTES);
  for (let at = 0; at < large.length; at += 4) large.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
  return large;
};

/** What `/large` answers. */
export const LARGE = createLarge();

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What a page found: `passed`, or what went wrong, by the name of the step. */
export type PageReport = Readonly<Record<string, string>>;

export interface ConformanceUpstream {
  readonly port: number;
  /** Resolves with what the next page reports. */
  nextReport(): Promise<PageReport>;
  stop(): void;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>;

const answersFrom = (onReport: (report: PageReport) => void): Record<string, Answer> => {
  let askForSecondHalf = () => {};
  return {
    '/': async (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html', 'content-length': PAGE.length }).end(PAGE),
    '/late': async (_, response) => {
      await sleep(LATE_MS);
      response.end('late but complete\n');
    },
    '/large': async (_, response) => response.writeHead(200, { 'content-length': LARGE.length }).end(LARGE),
    '/digest': async (request, response) => {
      const hash = createHash('sha256');
      for await (const chunk of request) hash.update(chunk);
      response.end(hash.digest('hex'));
    },
    '/seen': async ({ method, url, rawHeaders }, response) =>
      response.end(JSON.stringify({ method, url, rawHeaders })),
    // The second half comes only after its reader has asked for it elsewhere: a hop that buffers never gets there.
    '/halves': async (_, response) => {
      const asked = new Promise<void>((resolve) => {
        askForSecondHalf = resolve;
      });
      response.write('first ');
      await asked;
      response.end('second');
    },
    '/second-half': async (_, response) => {
      askForSecondHalf();
      response.end();
    },
    // Never ends, so that what arrives has not waited for the end.
    '/events': async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const id of [1, 2, 3]) response.write(`id: ${id}\ndata: tick ${id}\n\n`);
    },
    '/report': async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      response.end();
      onReport(JSON.parse(Buffer.concat(chunks).toString()));
    },
  };
};

/** Starts it on a free loopback port. */
export const startUpstream = async (): Promise<ConformanceUpstream> => {
  let reported: (report: PageReport) => void = () => {};
  const answers = answersFrom((report) => reported(report));
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    if (!answer) return response.writeHead(404).end();
    // A tool that gives up is that tool's case to judge.
    answer(request, response).catch(() => response.destroy());
  });
  const webSockets = new WebSocketServer({ server, path: '/echo' });
  webSockets.on('connection', (webSocket, { url }) => {
    // For a tool that can shake hands but not speak.
    if (url === '/echo?goodbye') return webSocket.terminate();
    webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    nextReport: () =>
      new Promise((resolve) => {
        reported = resolve;
      }),
    stop() {
      for (const webSocket of webSockets.clients) webSocket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
};
