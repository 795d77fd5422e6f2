/**
 * Copies bytes both ways between two ends until both directions are over.
 *
 * Invariant: an end of one direction is passed on and leaves the other direction running; an end that breaks breaks the other, so that
 * half an answer never looks like a whole one.
 */
import type { Socket } from 'node:net';
import { type Duplex, finished } from 'node:stream';
import { breakOff } from '../base/break-off.ts';

/** One end of a relay. */
export interface RelayEnd {
  readonly stream: Duplex;
  /** Ends it in a way that the peer can tell from an orderly end; safe to repeat. */
  abort(): void;
}

/** A plain TCP socket as an end. */
export const relayEndOf = (socket: Socket): RelayEnd => ({
  stream: socket,
  abort: () => breakOff(socket),
});

/** Resolves when both ends are over, however they ended. */
export const relay = (one: RelayEnd, other: RelayEnd): Promise<void> =>
  new Promise((resolve) => {
    let openCount = 2;
    const watch = (end: RelayEnd, opposite: RelayEnd) =>
      finished(end.stream, (error) => {
        if (error) opposite.abort();
        openCount -= 1;
        if (openCount === 0) resolve();
      });
    watch(one, other);
    watch(other, one);
    one.stream.pipe(other.stream);
    other.stream.pipe(one.stream);
  });
