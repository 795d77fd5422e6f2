/**
 * Finishes TLS on a peeked socket, under one edge policy.
 *
 * Flow: listener.ts makes one terminator per policy and gives it sockets that hold their ClientHello; what comes out is an ordinary
 * TLSSocket. Node's own path is used: a tls.Server that never listens is handed the socket as if it had accepted it.
 * Invariant: session tickets of one policy mean nothing to another, as each has keys of its own; a resumed session was
 * therefore made under the same policy. The socket's half-close carries over: allowHalfOpen of the raw socket is that of the TLSSocket.
 * Limits: the handshake ends, or is ended, within the time that the caller gives.
 */
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { fail } from '../base/errors.ts';
import type { Clock, Timer } from '../base/time.ts';
import type { CertificatePair, Certificates } from './certificates.ts';
import type { TlsVersion } from './dispatch.ts';

/** What makes one edge different from another. */
export interface EdgePolicy {
  readonly versionMin: TlsVersion;
  /** By our preference. A client that offers none of them is refused with no_application_protocol; one without ALPN is taken. */
  readonly alpnProtocols: readonly string[];
  /** Asks for a client certificate. None, or one of an unknown authority, is no reason to refuse: what it proves is looked up later. */
  readonly requestsCertificate?: boolean;
}

/** Finishes TLS for one policy. */
export interface Terminator {
  /**
   * @param socket paused, with its ClientHello unshifted
   * @param msMax time for the handshake
   * @returns undefined when the peer left before the handshake was complete
   * @throws CLIENT_HELLO_TIMEOUT, TLS_HANDSHAKE_FAILED; the socket is then gone
   */
  finish(socket: Socket, msMax: number): Promise<TLSSocket | undefined>;
}

// TLS 1.3's suites, and of TLS 1.2 those with forward secrecy and AEAD.
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** One handshake under way. */
interface Handshake {
  readonly deadline: Timer;
  resolve(socket: TLSSocket | undefined): void;
  reject(error: unknown): void;
}

/**
 * Makes the terminator of a policy; it holds no port and no timer between handshakes.
 */
export const createTerminator = (
  needs: { readonly clock: Clock; readonly certificates: Certificates },
  policy: EdgePolicy,
): Terminator => {
  const { clock, certificates } = needs;
  const handshakes = new WeakMap<Socket, Handshake>();
  let pair = certificates.current();
  const server = createServer(tlsOptionsFrom(policy, pair));

  const settle = (tlsSocket: TLSSocket): Handshake | undefined => {
    const socket = rawSocketOf(tlsSocket);
    const handshake = handshakes.get(socket);
    if (!handshake) return undefined;
    handshakes.delete(socket);
    handshake.deadline.cancel();
    socket.off('close', handshake.deadline.cancel);
    return handshake;
  };

  server.on('secureConnection', (tlsSocket) => {
    // An error may come before its new owner runs, and one without a listener would end the process; 'close' follows anyway.
    tlsSocket.on('error', ignore);
    settle(tlsSocket)?.resolve(tlsSocket);
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, tlsSocket) => {
    const handshake = settle(tlsSocket);
    tlsSocket.destroy();
    if (isGone(error)) handshake?.resolve(undefined);
    else handshake?.reject(fail('TLS_HANDSHAKE_FAILED', { reason: reasonFrom(error) }, error));
  });

  const followCertificate = () => {
    const latest = certificates.current();
    if (latest === pair) return;
    pair = latest;
    server.setSecureContext(tlsOptionsFrom(policy, pair));
  };

  return {
    finish: (socket, msMax) =>
      new Promise((resolve, reject) => {
        followCertificate();
        const deadline = clock.after(msMax, () => {
          // First the verdict: destroying the socket reports that the peer is gone.
          reject(fail('CLIENT_HELLO_TIMEOUT'));
          socket.destroy();
        });
        // Node tells of a socket that was destroyed a turn later than the socket itself, and no timer may outlive it.
        socket.once('close', deadline.cancel);
        handshakes.set(socket, { deadline, resolve, reject });
        server.emit('connection', socket);
      }),
  };
};

const tlsOptionsFrom = (policy: EdgePolicy, pair: CertificatePair): TlsOptions => ({
  cert: pair.cert,
  key: pair.key,
  minVersion: policy.versionMin,
  ALPNProtocols: [...policy.alpnProtocols],
  ciphers: CIPHERS,
  // All of them are good, so the client chooses what its hardware does best.
  honorCipherOrder: false,
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  ...(policy.requestsCertificate && { requestCert: true, rejectUnauthorized: false }),
});

/**
 * The socket below a TLSSocket. Node has no documented way to it, but has kept this field since io.js; the peer's address and port
 * would be the alternative, and are gone when the peer is.
 */
const rawSocketOf = (tlsSocket: TLSSocket): Socket => (tlsSocket as unknown as { _parent: Socket })._parent;

const ignore = () => {};

const GONE_CODES: readonly (string | undefined)[] = ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT'];

const isGone = (error: NodeJS.ErrnoException): boolean => GONE_CODES.includes(error.code);

/** OpenSSL's reason as words: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` is "tlsv1 alert unknown ca". */
const reasonFrom = (error: NodeJS.ErrnoException): string =>
  (error.code ?? 'unknown reason')
    .replace(/^ERR_(?:SSL|OSSL)_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();
