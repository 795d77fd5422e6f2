/**
 * TLS to an upstream, inside an agent stream: the engine is the client, the agent only copies bytes (protocol.md 7.7).
 *
 * Invariant: nothing is verified unless the operator asks for it, because what runs behind a tunnel mostly has a certificate of its own
 * making; the way there is authenticated by the agent's TLS in any case. Where it is asked for, the certificate must be for
 * `localhost`, because the engine never learns by which name the agent knows the service, and come from an authority that Node trusts:
 * its own list and those in the file that NODE_EXTRA_CA_CERTS names.
 * Limits: upstreamHandshakeMsMax.
 */
import type { Duplex } from 'node:stream';
import { connect, createSecureContext } from 'node:tls';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { passResets } from './reset.ts';

// Sent as SNI and, when verification is on, expected in the certificate (protocol.md 0.1).
const UPSTREAM_NAME = 'localhost';

export interface UpstreamTlsOptions {
  /** `upstream.verify`. */
  readonly isVerified: boolean;
}

/** What came of a handshake. */
export interface SecuredUpstream {
  readonly socket: Duplex;
  readonly alpnProtocol: string | undefined;
}

/** Makes the function that secures a stream. It rejects with UPSTREAM_TLS_FAILED, and the stream is then gone. */
export const createUpstreamTls = ({ clock }: { clock: Clock }, { isVerified }: UpstreamTlsOptions) => {
  // One for all: making a context costs more than a handshake.
  const secureContext = createSecureContext();
  return (stream: Duplex, alpnProtocols: readonly string[]): Promise<SecuredUpstream> =>
    new Promise((resolve, reject) => {
      const socket = connect({
        socket: stream,
        servername: UPSTREAM_NAME,
        ALPNProtocols: [...alpnProtocols],
        rejectUnauthorized: isVerified,
        secureContext,
      });
      passResets(socket, stream);
      const refuse = (reason: string, cause?: unknown) => {
        deadline.cancel();
        reject(fail('UPSTREAM_TLS_FAILED', { reason }, cause));
        socket.destroy();
        stream.destroy();
      };
      const deadline = clock.after(LIMITS.upstreamHandshakeMsMax, () => refuse('it took too long'));
      const fault = (error: NodeJS.ErrnoException) => refuse(error.code ?? 'the connection broke off', error);
      const left = () => refuse('the connection was closed');
      socket.once('error', fault);
      socket.once('close', left);
      socket.once('secureConnect', () => {
        deadline.cancel();
        socket.off('close', left).off('error', fault);
        // Whoever takes it over learns of its end by 'close'; an error without a listener would end the process.
        socket.on('error', () => {});
        socket.pause();
        resolve({ socket, alpnProtocol: socket.alpnProtocol || undefined });
      });
    });
};
