/**
 * Which open streams live by which credential, so that they end with it.
 *
 * Flow: session.ts holds the dial-backs of its agent here, private-dial.ts the sockets of its dialers; accept.ts lets those go whose
 * credential is over.
 * Invariant: a socket is held until it is closed, also when the session that opened it has ended: a lost channel cuts no stream
 * (protocol.md 5.5), a revoked credential does.
 */
import type { Duplex } from 'node:stream';
import { breakOff } from '../base/break-off.ts';
import type { Principal } from '../base/principal.ts';

export type HeldStreams = ReturnType<typeof createHeldStreams>;

export const createHeldStreams = () => {
  const held = new Map<Principal, Set<Duplex>>();
  return {
    hold(principal: Principal, socket: Duplex): void {
      if (socket.destroyed) return;
      const sockets = held.get(principal) ?? new Set();
      held.set(principal, sockets.add(socket));
      socket.once('close', () => {
        sockets.delete(socket);
        if (sockets.size === 0 && held.get(principal) === sockets) held.delete(principal);
      });
    },

    /** Breaks the streams of every principal that is not active any more; says how many. */
    release(isActive: (principal: Principal) => boolean): number {
      let count = 0;
      for (const [principal, sockets] of [...held]) {
        if (isActive(principal)) continue;
        count += sockets.size;
        for (const socket of [...sockets]) breakOff(socket);
      }
      return count;
    },

    /** How many there are of each credential, by its id. */
    countByCredential(): ReadonlyMap<string, number> {
      const counts = new Map<string, number>();
      for (const [{ credentialId }, { size }] of held)
        counts.set(credentialId, (counts.get(credentialId) ?? 0) + size);
      return counts;
    },

    get count(): number {
      let count = 0;
      for (const { size } of held.values()) count += size;
      return count;
    },
  };
};
