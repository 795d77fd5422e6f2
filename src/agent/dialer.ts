/**
 * Private dial: a stream to another agent's tunnel, by its name or id (protocol.md 6.2).
 *
 * Invariant: without zero-RTT, so that a refusal arrives as the engine's sentence and not as a stream that ends at once.
 */
import { fail } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { clientDetails } from './client-details.ts';
import { createConnector, type EngineTarget, receiveAnswer } from './connection.ts';
import { errorFromWire } from './refusal.ts';
import type { RelayEnd } from './relay.ts';

export interface DialerOptions {
  readonly engine: EngineTarget;
  readonly token?: Secret;
  readonly version?: string;
}

/** Made by {@link createDialer}. */
export interface Dialer {
  /**
   * Opens one stream.
   * Rejects with ENGINE_REFUSED, ENGINE_BUSY, ENGINE_UNREACHABLE, ENGINE_SILENT, ENGINE_CLOSED or ENGINE_PROTOCOL.
   * @param name of the tunnel, or its id
   */
  dial(name: string): Promise<RelayEnd>;
  /** Breaks every stream that it opened, and opens no more. */
  destroy(): void;
}

export const createDialer = (needs: { clock: Clock }, options: DialerOptions): Dialer => {
  const connector = createConnector(needs, options.engine);

  const dial = async (name: string): Promise<RelayEnd> => {
    const connection = await connector.connect();
    try {
      connection.send({
        kind: 'private-dial',
        details: clientDetails(options.token, options.version),
        target: name,
        zeroRtt: false,
        datagramChannel: false,
      });
      const answer = await receiveAnswer(needs.clock, connection);
      if (answer.kind === 'private-dial-refused') throw errorFromWire(answer.error);
      if (answer.kind !== 'private-dial-accepted')
        throw fail('ENGINE_PROTOCOL', { problem: `it answers a private dial with ${answer.kind}` });
      return connection.detach();
    } catch (thrown) {
      connection.destroy();
      throw thrown;
    }
  };

  return { dial, destroy: connector.destroy };
};
