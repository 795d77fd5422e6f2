/**
 * Handshakes that need a client certificate, whoever signed it.
 *
 * A tls.Server that is told to reject also rejects what no authority of its own has signed. Here OpenSSL demands a certificate, and so
 * refuses a peer without one by the alert certificate_required (RFC 8446 4.4.2.4; handshake_failure in TLS 1.2); what a certificate
 * proves is looked up later.
 * Flow: terminate.ts hands in sockets in place of giving them to its server, which hears of the outcome as of its own handshakes.
 */
import type { Socket } from 'node:net';
import { createSecureContext, type Server, TLSSocket, type TlsOptions } from 'node:tls';

/** Makes the function that begins such a handshake. */
export const createCertificateDemand = (server: Server, options: TlsOptions) => {
  const secureContext = createSecureContext(options);
  return (socket: Socket): void => {
    const tlsSocket = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      requestCert: true,
      rejectUnauthorized: true,
      ...(options.ALPNProtocols && { ALPNProtocols: options.ALPNProtocols }),
    });
    const fault = (error: Error) => server.emit('tlsClientError', error, tlsSocket);
    const left = () => fault(Object.assign(new Error('the peer left'), { code: 'ECONNRESET' }));
    tlsSocket.once('error', fault).once('close', left);
    tlsSocket.once('secure', () => {
      tlsSocket.off('error', fault).off('close', left);
      server.emit('secureConnection', tlsSocket);
    });
  };
};
