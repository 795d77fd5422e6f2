import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { createClock } from '../../src/base/time.ts';
import { createAuthority, issueServerIdentity, type ServerIdentity } from '../../src/store/authority.ts';
import { createFakeClock } from '../support/clock.ts';

const DAY_MS = 86_400_000;
// Extensions by object identifier (RFC 5280 section 4.2), and the way in which each begins.
const SUBJECT_KEY = Buffer.from('0603551d0e041604 14'.replace(' ', ''), 'hex');
const AUTHORITY_KEY = Buffer.from('0603551d230418301680 14'.replace(' ', ''), 'hex');
const CRITICAL_KEY_USAGE = '0603551d0f0101ff';
const CRITICAL_BASIC_CONSTRAINTS = '0603551d130101ff';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

const keyIdentifier = (certificate: X509Certificate, prefix: Buffer): string => {
  const at = certificate.raw.indexOf(prefix);
  assert.notEqual(at, -1, 'the extension is there');
  return certificate.raw.subarray(at + prefix.length, at + prefix.length + 20).toString('hex');
};

const certificatesOf = async (host: string, clock = createFakeClock()) => {
  const authority = await createAuthority({ host, clock });
  return {
    authority,
    ca: new X509Certificate(authority.caCertificate),
    server: new X509Certificate(authority.serverCertificate),
  };
};

/** The name that the client asks for, or why it does not trust the server. */
const handshake = async (
  t: TestContext,
  { serverCertificate, serverKey }: ServerIdentity,
  { ca, servername }: { ca: string; servername: string },
): Promise<string> => {
  const server = createServer({ cert: serverCertificate, key: serverKey }, (socket) => socket.end());
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', ca, servername });
  t.after(() => client.destroy());
  return once(client, 'secureConnect').then(
    () => 'trusted',
    (error: NodeJS.ErrnoException) => String(error.code),
  );
};

describe('an authority', () => {
  test('signs a certificate for the host and the names of its tunnels', async () => {
    const { ca, server } = await certificatesOf('edge.example.com');
    assert.equal(ca.ca, true);
    assert.equal(server.ca, false);
    assert.ok(server.checkIssued(ca) && server.verify(ca.publicKey) && ca.verify(ca.publicKey));
    assert.equal(
      server.subjectAltName,
      'DNS:edge.example.com, DNS:*.t.edge.example.com, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    assert.ok(server.checkHost('a.t.edge.example.com'));
    assert.equal(server.checkHost('a.b.t.edge.example.com'), undefined);
    assert.equal(server.checkHost('a.edge.example.com'), undefined);
  });

  test('of localhost serves the loopback addresses as well', async () => {
    const { server } = await certificatesOf('localhost');
    assert.ok(server.checkIP('127.0.0.1') && server.checkIP('::1') && server.checkHost('hello.t.localhost'));
  });

  test('satisfies strict readers: key identifiers, critical constraints, one purpose', async () => {
    const { ca, server } = await certificatesOf('localhost');
    const authorityKey = keyIdentifier(ca, SUBJECT_KEY);
    assert.equal(keyIdentifier(server, AUTHORITY_KEY), authorityKey);
    assert.notEqual(keyIdentifier(server, SUBJECT_KEY), authorityKey);
    for (const { raw } of [ca, server])
      for (const extension of [CRITICAL_KEY_USAGE, CRITICAL_BASIC_CONSTRAINTS])
        assert.ok(raw.toString('hex').includes(extension));
    assert.deepEqual(server.keyUsage, [SERVER_AUTH]);
    assert.notEqual(ca.serialNumber, server.serialNumber);
  });

  test('uses ECDSA P-256 keys that belong to their certificates', async () => {
    const { authority, ca, server } = await certificatesOf('localhost');
    for (const [certificate, pem] of [
      [ca, authority.caKey],
      [server, authority.serverKey],
    ] as const) {
      assert.ok(certificate.checkPrivateKey(createPrivateKey(pem)));
      assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    }
  });

  test('lasts ten years, its server certificate 397 days, both valid an hour ago', async () => {
    const clock = createFakeClock();
    const { ca, server } = await certificatesOf('localhost', clock);
    for (const [certificate, days] of [
      [ca, 3_650],
      [server, 397],
    ] as const) {
      const from = Date.parse(certificate.validFrom);
      assert.equal(from, clock.now() - 3_600_000);
      assert.equal(Date.parse(certificate.validTo) - from, days * DAY_MS);
    }
  });

  test('takes a host that is longer than a common name may be', async () => {
    const host = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`;
    const { ca, server } = await certificatesOf(host);
    assert.ok(server.checkHost(`x.t.${host}`));
    assert.ok(server.verify(ca.publicKey));
  });
});

describe('a TLS client', () => {
  test('that trusts the authority trusts the host and its tunnels, and nothing else', async (t) => {
    const authority = await createAuthority({ host: 'localhost', clock: createClock() });
    const answer = (servername: string) =>
      handshake(t, authority, { ca: authority.caCertificate, servername });
    assert.equal(await answer('localhost'), 'trusted');
    assert.equal(await answer('hello.t.localhost'), 'trusted');
    assert.equal(await answer('hello.localhost'), 'ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('of one authority does not trust another of the same host', async (t) => {
    const options = { host: 'localhost', clock: createClock() };
    const [ours, theirs] = [await createAuthority(options), await createAuthority(options)];
    const answer = await handshake(t, theirs, { ca: ours.caCertificate, servername: 'localhost' });
    assert.notEqual(answer, 'trusted');
  });

  test('trusts the certificate that an authority issues later', async (t) => {
    const options = { host: 'localhost', clock: createClock() };
    const authority = await createAuthority(options);
    const renewed = await issueServerIdentity(authority, options);
    assert.notEqual(renewed.serverKey, authority.serverKey);
    const asked = { ca: authority.caCertificate, servername: 'a.t.localhost' };
    assert.equal(await handshake(t, renewed, asked), 'trusted');
  });
});
