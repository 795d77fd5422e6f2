/**
 * Proves a certificate by a handshake of the engine with itself.
 *
 * Flow: the Admin API proves an upload before it replaces what is served.
 * Invariant: it listens on loopback, on a port of its own, for as long as the one handshake takes. A curve or signature that OpenSSL loads
 * but TLS 1.3 has no name for fails here, and not in front of every agent.
 * Limits: certificateProofMsMax.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { CertificatePair } from './certificate-pair.ts';

/** @throws CERTIFICATE_INVALID when no handshake shows the certificate */
export const provePair = async (
  { cert, key, chain: [leaf] }: CertificatePair,
  { clock, host }: { readonly clock: Clock; readonly host: string },
): Promise<void> => {
  const server = createServer({ cert, key, minVersion: 'TLSv1.3' }, (socket) => socket.end());
  const refused = new AbortController();
  server.on('tlsClientError', (error) => refused.abort(error));
  const deadline = clock.after(LIMITS.certificateProofMsMax, () =>
    refused.abort(new Error('it took too long')),
  );
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening', refused);
    const { port } = server.address() as AddressInfo;
    // Who signed it is for clients to judge.
    const client = connect({ host: '127.0.0.1', port, servername: host, rejectUnauthorized: false });
    try {
      await once(client, 'secureConnect', refused);
      if (client.getPeerX509Certificate()?.fingerprint256 !== leaf.fingerprint256)
        throw new Error('another certificate was shown');
    } finally {
      client.on('error', () => {}).destroy();
    }
  } catch (thrown) {
    const { message } = (refused.signal.reason ?? thrown) as Error;
    throw fail(
      'CERTIFICATE_INVALID',
      { problem: `no TLS 1.3 handshake is possible with it (${message})` },
      thrown,
    );
  } finally {
    deadline.cancel();
    server.close();
  }
};
