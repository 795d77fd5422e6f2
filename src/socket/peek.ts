/**
 * Reads the ClientHello of a raw socket and puts it back, so that the socket can still become anything.
 *
 * Flow: receive.ts calls it for every socket that has arrived; client-hello.ts parses.
 * Invariant: afterwards the socket is paused and free of our listeners; after a hello it holds every byte that it had sent.
 * Limits: tlsHandshakeMsMax (handed in), clientHelloBytesMax.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../base/time.ts';
import { type ClientHello, createClientHelloParser } from './client-hello.ts';
import { readOpening } from './opening.ts';

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
): Promise<ClientHello | undefined> => {
  const parser = createClientHelloParser();
  return readOpening(socket, clock, {
    push: parser.push,
    returned: () => parser.received,
    msMax,
    lateCode: 'CLIENT_HELLO_TIMEOUT',
  });
};
