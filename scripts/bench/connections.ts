/**
 * Loads of which each request opens a connection: new connections with a full TLS handshake, and the first byte of cold tunnels.
 *
 * Why no h2load here: its connections after the first ones resume the TLS session, which spares both sides the signature.
 */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { latencyFrom, type Sample } from './figures.ts';
import { readMeter, type Subject, sinceReading } from './subject.ts';

/** Connections at once: enough to keep the subject busy, few enough for all answers to share some kept streams behind it. */
const CONCURRENCY = 16;
const ANSWER_MS_MAX = 10_000;

/**
 * Asks once over a new connection, and reads to its end.
 *
 * @returns milliseconds from the first packet to the first byte of the answer
 */
export const askOnce = async (
  { host, port }: Pick<Subject, 'host' | 'port'>,
  path = '/',
): Promise<number> => {
  const start = performance.now();
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: host,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: false,
  });
  socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error(`${host} does not answer`)));
  let firstByteMs: number | undefined;
  let answer = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    firstByteMs ??= performance.now() - start;
    answer += text;
  });
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\nconnection: close\r\n\r\n`);
  await once(socket, 'end');
  socket.destroy();
  if (firstByteMs === undefined || !answer.startsWith('HTTP/1.1 200 '))
    throw new Error(`${host} answered ${answer.slice(0, 100) || 'nothing'}`);
  return firstByteMs;
};

/** Opens connections for one request each, some at once, for a time. */
export const openConnections = async (subject: Subject, seconds: number): Promise<Sample> => {
  const before = readMeter(subject);
  const endMs = before.atMs + 1000 * seconds;
  let count = 0;
  const openInTurn = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await askOnce(subject);
      count++;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, openInTurn));
  return { count, ...sinceReading(subject, before) };
};

/** Opens tunnels for a time, one after the other, and asks each one once over a new connection. Without tunnels: only the connections. */
export const askColdTunnels = async (subject: Subject, seconds: number): Promise<Sample> => {
  const before = readMeter(subject);
  const endMs = before.atMs + 1000 * seconds;
  const times: number[] = [];
  do {
    const tunnel = await subject.openTunnel?.();
    times.push(await askOnce({ ...subject, ...(tunnel && { host: tunnel.host }) }));
    await tunnel?.close();
  } while (performance.now() < endMs);
  return { count: times.length, ...sinceReading(subject, before), ...latencyFrom(times) };
};
