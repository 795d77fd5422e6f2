/** A service for the checks of `doctor --deep`: events that never end, an upload that is counted, a WebSocket that echoes. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

export interface DoctorUpstream {
  readonly port: number;
  close(): void;
}

/** What the first event says. */
export const FIRST_EVENT = 'data: first\n\n';

// RFC 6455 1.3.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Listens on a free loopback port. */
export const serveDoctorUpstream = async (): Promise<DoctorUpstream> => {
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => {
    if (request.url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      return response.write(FIRST_EVENT);
    }
    let byteCount = 0;
    request.on('data', (piece: Buffer) => {
      byteCount += piece.length;
    });
    return request.once('end', () => response.end(`${byteCount}`));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    const key = request.headers['sec-websocket-key'] ?? '';
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    // As bytes: who checks compares what it sent.
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
};
