/**
 * The reset of a TLS socket, which Node has not: what a TLSSocket inherits from net.Socket only throws, as it looks for TCP right below.
 *
 * Invariant: the TLS socket closes as by `destroy`, from the top down. Where what is below closes first, Node 20 crashes within the
 * handshake's own callback, and a TLS socket above this one never closes.
 */
import type { TLSSocket } from 'node:tls';
import type { Resettable } from '../base/break-off.ts';

/**
 * Makes `resetAndDestroy` reset the connection below.
 * @param below what it was made over, and destroys with itself
 */
export const passResets = (secure: TLSSocket, below: Resettable): void => {
  secure.resetAndDestroy = () => {
    if (below.resetAndDestroy) destroyByReset(below);
    return secure.destroy();
  };
};

/** Makes the next `destroy` a reset. */
const destroyByReset = (socket: Resettable): void => {
  const { destroy } = socket;
  socket.destroy = () => {
    socket.destroy = destroy;
    socket.resetAndDestroy?.();
    return socket;
  };
};
