/**
 * Reads the ClientHello of a raw socket and puts it back, so that the socket can still become anything.
 *
 * Flow: listener.ts calls it for every accepted socket; client-hello.ts parses.
 * Invariant: afterwards the socket is paused and free of our listeners; after a hello it holds every byte that it had sent.
 * Limits: tlsHandshakeMsMax (handed in), clientHelloBytesMax.
 */
import type { Socket } from 'node:net';
import { fail } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { type ClientHello, createClientHelloParser } from './client-hello.ts';

/**
 * Waits for a whole ClientHello.
 * @param msMax how long to wait
 * @returns undefined when the peer left before its hello was complete, as health checks do
 * @throws CLIENT_HELLO_TIMEOUT, and whatever the parser refuses
 */
export const peekClientHello = (
  socket: Socket,
  clock: Clock,
  msMax: number,
): Promise<ClientHello | undefined> =>
  new Promise((resolve, reject) => {
    const parser = createClientHelloParser();

    const settle = () => {
      deadline.cancel();
      socket.off('data', socketOnData).off('end', socketOnGone).off('error', socketOnGone);
      socket.off('close', socketOnGone).pause();
    };
    const refuse = (error: unknown) => {
      settle();
      reject(error);
    };
    const socketOnData = (chunk: Buffer) => {
      let hello: ClientHello | undefined;
      try {
        hello = parser.push(chunk);
      } catch (error) {
        return refuse(error);
      }
      if (!hello) return;
      settle();
      socket.unshift(parser.received);
      resolve(hello);
    };
    const socketOnGone = () => {
      settle();
      resolve(undefined);
    };

    const deadline = clock.after(msMax, () => refuse(fail('CLIENT_HELLO_TIMEOUT')));
    socket
      .on('data', socketOnData)
      .on('end', socketOnGone)
      .on('error', socketOnGone)
      .on('close', socketOnGone);
  });
