/**
 * Handshakes that need a client certificate, whoever signed it.
 *
 * A tls.Server that is told to reject also rejects what no authority of its own has signed. Here OpenSSL demands a certificate, and so
 * refuses a peer without one by the alert certificate_required (RFC 8446 4.4.2.4; handshake_failure in TLS 1.2); what a certificate
 * proves is looked up later.
 * Flow: terminate.ts hands in sockets in place of giving them to its server, which hears of the outcome as of its own handshakes.
 */
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, type Server, TLSSocket, type TlsOptions } from 'node:tls';

/** Makes the function that begins such a handshake, under the options and ticket keys of a server as they are by then. */
export const createCertificateDemand = (server: Server) => {
  let context: SecureContext | undefined;
  let contextOptions: TlsOptions | undefined;
  let ticketKeys = Buffer.alloc(0);

  const contextOf = (options: TlsOptions): SecureContext => {
    const currentKeys = server.getTicketKeys();
    if (context && options === contextOptions && currentKeys.equals(ticketKeys)) return context;
    contextOptions = options;
    ticketKeys = currentKeys;
    context = createSecureContext({ ...options, ticketKeys });
    return context;
  };

  return (socket: Socket, options: TlsOptions, choice: Pick<TlsOptions, 'SNICallback'>): void => {
    const tlsSocket = new TLSSocket(socket, {
      isServer: true,
      secureContext: contextOf(options),
      requestCert: true,
      rejectUnauthorized: true,
      ...choice,
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
