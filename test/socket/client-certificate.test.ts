import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { createTestPair } from '../support/certificates.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep } from '../support/doorstep.ts';

const DAY_MS = 86_400_000;
const AGENT = { servername: ENGINE_HOST, ALPNProtocols: ['rstrm/1'] };

const fingerprintOf = (pem: string) =>
  new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

const setUp = async (t: TestContext) => {
  const { connectTls, nextArrival } = await startDoorstep(t);
  const arrive = async (options: ConnectionOptions) => {
    const arriving = nextArrival();
    const client = connectTls(options);
    const { room, socket, connection } = await arriving;
    return { client, room, socket, connection };
  };
  return { arrive, connectTls };
};

describe('the fingerprint of a client certificate', () => {
  test('is the SHA-256 of the leaf, and absent where none was shown', async (t) => {
    const { arrive } = await setUp(t);
    const pair = await createTestPair('laptop');
    const shown = await arrive({ ...AGENT, cert: pair.cert, key: pair.key });
    assert.equal(shown.connection.certificateFingerprint, fingerprintOf(pair.cert));
    const none = await arrive(AGENT);
    assert.equal('certificateFingerprint' in none.connection, false);
  });

  test('is the same when the TLS session is resumed, where no certificate is sent', async (t) => {
    const { arrive } = await setUp(t);
    const { cert, key } = await createTestPair('laptop');
    const first = await arrive({ ...AGENT, cert, key });
    const [session] = (await once(first.client, 'session')) as [Buffer];
    const second = await arrive({ ...AGENT, cert, key, session });
    assert.ok(second.socket.isSessionReused());
    assert.equal(second.connection.certificateFingerprint, fingerprintOf(cert));
  });

  test('of a certificate that has expired, or that nobody known has signed, is a fact too', async (t) => {
    const { arrive } = await setUp(t);
    const lifetime = {
      notBeforeDate: new Date(Date.now() - 2 * DAY_MS),
      notAfterDate: new Date(Date.now() - DAY_MS),
    };
    const { cert, key } = await createTestPair('expired', lifetime);
    const { connection } = await arrive({ ...AGENT, cert, key });
    assert.equal(connection.certificateFingerprint, fingerprintOf(cert));
  });

  test('is asked for at the door of agents alone', async (t) => {
    const { arrive } = await setUp(t);
    const { cert, key } = await createTestPair('laptop');
    for (const servername of [ENGINE_HOST, PUBLISHED_HOST]) {
      const { connection } = await arrive({ servername, ALPNProtocols: ['http/1.1'], cert, key });
      assert.equal('certificateFingerprint' in connection, false, servername);
    }
  });
});
