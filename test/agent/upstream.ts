/** Real TCP services for agents to forward to. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Address } from '../../src/agent/tcp.ts';
import { readToEnd } from '../support/read-to-end.ts';

/** Listens until the test ends. */
export const startUpstream = async (t: TestContext, serve: (socket: Socket) => void): Promise<Address> => {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
};

/** Sends back what it gets. */
export const echo = (socket: Socket): void => void socket.pipe(socket);

/** A port on which nothing listens. */
export const closedPort = async (): Promise<Address> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { host: '127.0.0.1', port };
};

/** Reads the whole question, then sends an answer and ends. */
export const answerAfterEnd =
  (answer: (question: Buffer) => string) =>
  (socket: Socket): void => {
    readToEnd(socket).then(
      (question) => socket.end(answer(question)),
      () => socket.destroy(),
    );
  };
