/**
 * Finishes TLS on a peeked socket, under one edge policy.
 *
 * Flow: receive.ts hands in sockets that hold their ClientHello, each to the terminator of its policy; what comes out is an ordinary
 * TLSSocket. Node's own path is used: a tls.Server that never listens is handed the socket as if it had accepted it.
 * Invariant: session tickets of one policy mean nothing to another, as each has keys of its own; a resumed session was
 * therefore made under the same policy. The socket's half-close carries over: allowHalfOpen of the raw socket is that of the TLSSocket; and
 * so does its reset (reset.ts).
 * Limits: the handshake ends, or is ended, within the time that the caller gives; ticketKeyMs.
 */
import { constants, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Timer } from '../base/time.ts';
import { TLS_SUITES, type TlsDemands } from '../base/tls.ts';
import type { CertificatePair } from './certificate-pair.ts';
import type { Certificates } from './certificates.ts';
import { createPairChoice } from './choose-pair.ts';
import { createCertificateDemand } from './demand-certificate.ts';
import { groupsFrom, type PostQuantum } from './post-quantum.ts';
import { passResets } from './reset.ts';

/** What makes one edge different from another. */
export interface TlsPolicy extends TlsDemands {
  /**
   * By our preference. A client that offers none of them is refused with no_application_protocol; one without ALPN is taken. An
   * empty list negotiates nothing.
   */
  readonly alpnProtocols: readonly string[];
  /**
   * Asks for a client certificate, or refuses who has none with certificate_required (RFC 8446 4.4.2.4). Who signed it is no reason to
   * refuse: what it proves is looked up later.
   */
  readonly clientCertificate?: 'ask' | 'require';
  readonly postQuantum: PostQuantum;
}

export interface TerminatorNeeds {
  readonly clock: Clock;
  readonly certificates: Certificates;
}

/** Finishes TLS for one policy. */
export interface Terminator {
  /**
   * @param socket paused, with its ClientHello unshifted
   * @param serverName as the hello has it: it chooses among the certificates
   * @param msMax time for the handshake
   * @returns undefined when the peer left before the handshake was complete
   * @throws CLIENT_HELLO_TIMEOUT, TLS_HANDSHAKE_FAILED, CLIENT_CERTIFICATE_MISSING; the socket is then gone
   */
  finish(socket: Socket, serverName: string | undefined, msMax: number): Promise<TLSSocket | undefined>;
}

/** One handshake under way. */
interface Handshake {
  readonly deadline: Timer;
  resolve(socket: TLSSocket | undefined): void;
  reject(error: unknown): void;
}

/**
 * Makes the terminator of a policy; it holds no port and no timer between handshakes.
 */
export const createTerminator = (needs: TerminatorNeeds, policy: TlsPolicy): Terminator => {
  const { clock, certificates } = needs;
  const handshakes = new WeakMap<Socket, Handshake>();

  const settle = (tlsSocket: TLSSocket): Handshake | undefined => {
    const socket = rawSocketOf(tlsSocket);
    const handshake = handshakes.get(socket);
    if (!handshake) return undefined;
    handshakes.delete(socket);
    handshake.deadline.cancel();
    socket.off('close', handshake.deadline.cancel);
    return handshake;
  };

  const generationFrom = (pairs: readonly CertificatePair[]) => {
    const ticketKeys = randomBytes(TICKET_KEY_BYTES);
    const beginnerFor = createPairChoice(pairs, (chosen) =>
      beginnerFrom({ ...tlsOptionsFrom(policy, chosen), ticketKeys }, policy.clientCertificate, settle),
    );
    return { pairs, sinceMs: clock.elapsed(), beginnerFor };
  };
  let generation = generationFrom(certificates.current());
  // What OpenSSL cannot do is known when the engine starts, and not handshake by handshake.
  generation.beginnerFor(undefined);

  /**
   * Certificates and ticket key are looked at when a handshake needs them: no timer runs for an edge that nobody uses. Where one of
   * them is out of date everything is made anew; handshakes under way end as they began.
   */
  const current = () => {
    const pairs = certificates.current();
    const isOver = clock.elapsed() - generation.sinceMs >= LIMITS.ticketKeyMs;
    if (pairs !== generation.pairs || isOver) generation = generationFrom(pairs);
    return generation;
  };

  return {
    finish: (socket, serverName, msMax) =>
      new Promise((resolve, reject) => {
        const begin = current().beginnerFor(serverName);
        const deadline = clock.after(msMax, () => {
          // First the verdict: destroying the socket reports that the peer is gone.
          reject(fail('CLIENT_HELLO_TIMEOUT'));
          socket.destroy();
        });
        // Node tells of a socket that was destroyed a turn later than the socket itself, and no timer may outlive it.
        socket.once('close', deadline.cancel);
        handshakes.set(socket, { deadline, resolve, reject });
        begin(socket);
      }),
  };
};

/** Makes the function that begins a handshake; `settle` gives whoever waits for its end, unless that was given before. */
const beginnerFrom = (
  options: TlsOptions,
  clientCertificate: TlsPolicy['clientCertificate'],
  settle: (tlsSocket: TLSSocket) => Handshake | undefined,
): ((socket: Socket) => void) => {
  const server = createServer(options);
  server.on('secureConnection', (tlsSocket) => {
    // An error may come before its new owner runs, and one without a listener would end the process; 'close' follows anyway.
    tlsSocket.on('error', ignore);
    passResets(tlsSocket, rawSocketOf(tlsSocket));
    settle(tlsSocket)?.resolve(tlsSocket);
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, tlsSocket) => {
    const handshake = settle(tlsSocket);
    tlsSocket.destroy();
    if (isGone(error)) handshake?.resolve(undefined);
    else handshake?.reject(failureFrom(error));
  });
  return clientCertificate === 'require'
    ? createCertificateDemand(server, options)
    : (socket) => void server.emit('connection', socket);
};

// What Node takes: a name, a key for HMAC and one for AES, of 16 bytes each.
const TICKET_KEY_BYTES = 48;

// Sessions are told apart by ticket keys; that all servers have one name lets them resume whichever of them a server name chose.
const SESSION_CONTEXT = 'rstream';

const tlsOptionsFrom = (policy: TlsPolicy, pairs: readonly CertificatePair[]): TlsOptions => ({
  cert: pairs.map(({ cert }) => cert),
  key: pairs.map(({ key }) => key),
  sessionIdContext: SESSION_CONTEXT,
  minVersion: policy.versionMin,
  ...(policy.alpnProtocols.length > 0 && { ALPNProtocols: [...policy.alpnProtocols] }),
  ciphers: (policy.suites ?? TLS_SUITES).map(({ openSslName }) => openSslName).join(':'),
  ecdhCurve: groupsFrom(policy.postQuantum),
  // All of them are good, so the client chooses what its hardware does best.
  honorCipherOrder: false,
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  ...(policy.clientCertificate && { requestCert: true, rejectUnauthorized: false }),
});

/**
 * The socket below a TLSSocket. Node has no documented way to it, but has kept this field since io.js; the peer's address and port
 * would be the alternative, and are gone when the peer is.
 */
const rawSocketOf = (tlsSocket: TLSSocket): Socket => (tlsSocket as unknown as { _parent: Socket })._parent;

const ignore = () => {};

const GONE_CODES: readonly (string | undefined)[] = ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT'];

const isGone = (error: NodeJS.ErrnoException): boolean => GONE_CODES.includes(error.code);

const failureFrom = (error: NodeJS.ErrnoException): EngineError =>
  error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'
    ? fail('CLIENT_CERTIFICATE_MISSING')
    : fail('TLS_HANDSHAKE_FAILED', { reason: reasonFrom(error) }, error);

/** OpenSSL's reason as words: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` is "tlsv1 alert unknown ca". */
const reasonFrom = (error: NodeJS.ErrnoException): string =>
  (error.code ?? 'unknown reason')
    .replace(/^ERR_(?:SSL|OSSL)_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();
