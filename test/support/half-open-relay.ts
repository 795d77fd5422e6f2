/**
 * A black hole on demand: a TCP relay between agents and an engine that stops to carry anything, and tells nobody.
 *
 * What a vanished network looks like from both ends: no byte, no end, no reset.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface HalfOpenRelay {
  readonly port: number;
  /** From now on everything that comes is swallowed, ends and resets included. */
  swallow(): void;
  /** The network comes back and resets what went through it. */
  reset(): void;
}

/** Relays connections to 127.0.0.1; what is left of them is gone when the test ends. */
export const startHalfOpenRelay = async (
  t: TestContext,
  { port: targetPort }: { port: number },
): Promise<HalfOpenRelay> => {
  const sockets = new Set<Socket>();
  let isSwallowing = false;

  const carry = (from: Socket, to: Socket) => {
    sockets.add(from);
    from
      .on('data', (chunk) => isSwallowing || to.write(chunk))
      .on('end', () => isSwallowing || to.end())
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(from);
        if (!isSwallowing) to.destroy();
      });
  };
  const server = createServer({ allowHalfOpen: true }, (agentSide) => {
    const engineSide = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true });
    carry(agentSide, engineSide);
    carry(engineSide, agentSide);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  t.after(() => {
    reset();
    server.close();
  });

  return {
    port: (server.address() as AddressInfo).port,
    swallow: () => {
      isSwallowing = true;
    },
    reset,
  };
};
