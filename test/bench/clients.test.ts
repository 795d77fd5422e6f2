/** The bench's own clients, against servers that count what they got. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { askColdTunnels, askOnce, openConnections } from '../../scripts/bench/connections.ts';
import type { Subject } from '../../scripts/bench/subject.ts';
import { echoMessages } from '../../scripts/bench/websocket.ts';
import { testCertificates } from '../support/certificates.ts';

/** An HTTPS server as the subject: the metered process is this one. */
const startSubject = async (t: TestContext, listener?: RequestListener) => {
  const { cert, key } = await testCertificates();
  const server = createServer({ cert, key }, listener);
  const sockets: TLSSocket[] = [];
  server.on('secureConnection', (socket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const subject: Subject = {
    host: 'bench.test',
    port: (server.address() as AddressInfo).port,
    pid: process.pid,
  };
  return { server, sockets, subject };
};

test('each request of the connect row has a connection of its own with a full handshake', async (t) => {
  let requests = 0;
  const { server, subject, sockets } = await startSubject(t, (_request, response) => {
    requests++;
    response.end('x');
  });
  const resumed: boolean[] = [];
  server.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()));
  const { count, seconds } = await openConnections(subject, 0.05);
  assert.ok(count >= 1 && seconds >= 0.05);
  assert.deepEqual([requests, sockets.length], [count, count]);
  assert.ok(!resumed.includes(true));
});

test('each request of the cold row goes to a tunnel of its own, which is closed again', async (t) => {
  const hosts: string[] = [];
  const { subject } = await startSubject(t, ({ headers }, response) => {
    hosts.push(headers.host ?? '');
    response.end('x');
  });
  let closed = 0;
  const openTunnel = async () => ({
    host: `cold-${hosts.length}.test`,
    close: async () => {
      closed++;
    },
  });
  const { count, p50Ms = 0 } = await askColdTunnels({ ...subject, openTunnel }, 0.05);
  assert.ok(p50Ms > 0);
  assert.equal(closed, count);
  assert.deepEqual(
    hosts,
    hosts.map((_, index) => `cold-${index}.test:${subject.port}`),
  );
});

test('an answer other than 200 measures nothing', async (t) => {
  const { subject } = await startSubject(t, (_request, response) => {
    response.writeHead(503).end();
  });
  await assert.rejects(askOnce(subject), /bench\.test answered HTTP\/1\.1 503/);
});

test('the websocket row sends each message when the one before is back', async (t) => {
  const { server, subject } = await startSubject(t);
  const sockets = new WebSocketServer({ server, path: '/echo' });
  let received = 0;
  sockets.on('connection', (socket) => {
    socket.on('message', (data) => {
      received++;
      socket.send(data);
    });
  });
  const { count, p50Ms = 0, p99Ms = 0 } = await echoMessages(subject, 0.05);
  assert.ok(count >= 1);
  assert.equal(received, count);
  assert.ok(p50Ms > 0 && p99Ms >= p50Ms);
});
