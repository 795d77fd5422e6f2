/** Upstreams that tests script by the byte, and downstreams that do the same. */
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connectDownstream, type DownstreamTarget, readUntil } from '../support/downstream.ts';
import { startEngine, startTcpUpstream, type TestEngine } from '../support/engine.ts';

/** One connection that an upstream got: what came on it so far as latin1, and the socket. */
export interface UpstreamConnection {
  readonly socket: Socket;
  readonly text: string;
}

export interface ScriptedUpstream {
  readonly port: number;
  /** In the order in which they came. */
  readonly connections: UpstreamConnection[];
}

export const HOSTNAME = 'web.t.localhost';

/**
 * An upstream that is asked what to do at the end of each request head, as far as it can tell one from a body.
 * @param onHead is given the head without its empty line
 */
export const startScriptedUpstream = async (
  t: TestContext,
  onHead: (head: string, socket: Socket) => void,
): Promise<ScriptedUpstream> => {
  const connections: UpstreamConnection[] = [];
  const { port } = await startTcpUpstream(t, (socket) => {
    let text = '';
    let readLength = 0;
    connections.push({
      socket,
      get text() {
        return text;
      },
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (
        let end = text.indexOf('\r\n\r\n', readLength);
        end >= 0;
        end = text.indexOf('\r\n\r\n', readLength)
      ) {
        const head = text.slice(readLength, end);
        readLength = end + 4;
        onHead(head, socket);
      }
    });
    socket.on('end', () => socket.end());
  });
  return { port, connections };
};

/** An engine with an upstream published as HOSTNAME. */
export const startPublished = async (
  t: TestContext,
  upstream: { port: number },
  timeouts: Record<string, number> = {},
): Promise<TestEngine> => {
  const settings = { timeouts: { drain_seconds: 1, stream_request_seconds: 5, ...timeouts } };
  const engine = await startEngine(t, { settings });
  await engine.publish(upstream, { hostname: 'web' });
  return engine;
};

/** A request to HOSTNAME as text. */
export const requestText = (line: string, ...headers: string[]): string =>
  `${[`${line} HTTP/1.1`, `Host: ${HOSTNAME}`, ...headers].join('\r\n')}\r\n\r\n`;

/** Bytes of an answer with a length. */
export const answerText = (body: string, ...headers: string[]): string =>
  `${['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...headers].join('\r\n')}\r\n\r\n${body}`;

/** One downstream connection, to be asked again and again. */
export interface Asker {
  readonly socket: TLSSocket;
  /** Sends, and waits until what comes back ends like this. */
  ask(text: string, end: string | RegExp): Promise<string>;
}

export const connectAsker = async (
  t: TestContext,
  target: DownstreamTarget,
  hostname = HOSTNAME,
): Promise<Asker> => {
  const socket = await connectDownstream(target, hostname);
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  return {
    socket,
    ask(text, end) {
      socket.write(text, 'latin1');
      return readUntil(socket, (so) => (typeof end === 'string' ? so.endsWith(end) : end.test(so)));
    },
  };
};

/** How often a part occurs. */
export const countOf = (text: string, part: string): number => text.split(part).length - 1;
