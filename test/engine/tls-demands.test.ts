/** What tunnels and operators demand of TLS, from the request that opens a tunnel to the downstream's handshake. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { hasPostQuantum } from '../../src/socket/post-quantum.ts';
import { createRsaPair, testCertificates } from '../support/certificates.ts';
import { connectDownstream } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { FakeRefusal } from '../support/fake-agent.ts';
import { opensslClient } from '../support/openssl.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

const hostnameOf = (label: string) => `${label}.t.localhost`;

/** Publishes an upstream that answers with its name. */
const publish = async (t: TestContext, engine: TestEngine, label: string, more: TunnelProperties = {}) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end(label));
  return engine.publish(upstream, { hostname: label, ...more });
};

describe('a tunnel', () => {
  test('gets the TLS that it asks for, and its reply says so', async (t) => {
    const engine = await startEngine(t);
    const { reply } = await publish(t, engine, 'strict', {
      tlsMinVersion: 'tls1.3',
      tlsCiphers: ['TLS_AES_256_GCM_SHA384'],
    });
    assert.equal(reply.tlsMinVersion, 'tls1.3');
    assert.deepEqual(reply.tlsCiphers, ['TLS_AES_256_GCM_SHA384']);
    assert.match(await opensslClient(engine.port, hostnameOf('strict'), '-tls1_2'), /alert protocol version/);
    const answer = await opensslClient(engine.port, hostnameOf('strict'), '-alpn', 'h2');
    assert.match(answer, /New, TLSv1\.3, Cipher is TLS_AES_256_GCM_SHA384/);
    assert.match(answer, /ALPN protocol: h2/);
  });

  test('of protocol tls has exactly its protocols', async (t) => {
    const engine = await startEngine(t);
    const agent = await engine.connectAgent();
    const reply = await agent.openTunnel({ hostname: 'raw', protocol: 'tls', tlsAlpns: ['echo'] });
    assert.equal(reply.tlsMode, 'terminated');
    assert.match(await opensslClient(engine.port, hostnameOf('raw'), '-alpn', 'echo'), /ALPN protocol: echo/);
    const NO_PROTOCOL = /alert no application protocol/;
    assert.match(await opensslClient(engine.port, hostnameOf('raw'), '-alpn', 'wrong,http/1.1'), NO_PROTOCOL);
    assert.match(await opensslClient(engine.port, hostnameOf('raw')), NO_PROTOCOL);
  });

  const REFUSED: readonly (readonly [TunnelProperties, RegExp])[] = [
    [{ tlsCiphers: ['RC4-SHA'] }, /tls_ciphers names RC4-SHA/],
    [
      { tlsCiphers: ['ECDHE-RSA-AES128-GCM-SHA256'], tlsMinVersion: 'tls1.3' },
      /tls_ciphers names TLS 1\.2 suites only/,
    ],
    [{ protocol: 'tls', tlsMode: 'passthrough', tlsCiphers: ['x'] }, /passthrough.*tls_ciphers/],
  ];
  for (const [properties, message] of REFUSED)
    test(`is refused with 2000 for ${JSON.stringify(properties)}, and keeps its name free`, async (t) => {
      const engine = await startEngine(t);
      const agent = await engine.connectAgent();
      await assert.rejects(agent.openTunnel({ hostname: 'x', ...properties }), (error) => {
        assert.ok(error instanceof FakeRefusal);
        assert.equal(error.code, 2000);
        assert.match(error.message, message);
        return true;
      });
      await agent.openTunnel({ hostname: 'x' });
    });

  test('must meet the minimum of the engine with its ciphers', async (t) => {
    const settings = { tls: { listen_addr: '127.0.0.1:0', min_version: 'tls1.3' } };
    const engine = await startEngine(t, { settings });
    const agent = await engine.connectAgent();
    const properties = { hostname: 'x', tlsCiphers: ['ECDHE-RSA-AES128-GCM-SHA256'] };
    await assert.rejects(agent.openTunnel(properties), /TLS minimum of this tunnel is 1\.3/);
    await agent.openTunnel({ ...properties, tlsMinVersion: 'tls1.2' });
    assert.match(await opensslClient(engine.port, 'localhost', '-tls1_2'), /alert protocol version/);
  });
});

describe('an HTTP/2 connection that was opened for another name', () => {
  const assertMisdirected = async (
    session: Awaited<ReturnType<typeof connectHttp2>>,
    label: string,
    isMisdirected: boolean,
  ) => {
    const { status, body } = await ask(session, { ':authority': hostnameOf(label) });
    assert.equal(status, isMisdirected ? 421 : 200, label);
    if (isMisdirected) assert.match(String(body), /Misdirected Request/);
    else assert.equal(String(body), label);
  };

  test('carries no request for a tunnel whose TLS minimum it does not reach', async (t) => {
    const engine = await startEngine(t);
    await publish(t, engine, 'lax');
    await publish(t, engine, 'strict', { tlsMinVersion: 'tls1.3' });
    const old = await connectHttp2(t, engine, hostnameOf('lax'), {}, { maxVersion: 'TLSv1.2' });
    await assertMisdirected(old, 'strict', true);
    await assertMisdirected(old, 'lax', false);
    await assertMisdirected(await connectHttp2(t, engine, hostnameOf('lax')), 'strict', false);
  });

  test('carries no request for a tunnel that does not want its cipher', async (t) => {
    const engine = await startEngine(t);
    await publish(t, engine, 'lax');
    await publish(t, engine, 'aes256', { tlsCiphers: ['TLS_AES_256_GCM_SHA384'] });
    const connect = (ciphers: string) => connectHttp2(t, engine, hostnameOf('lax'), {}, { ciphers });
    await assertMisdirected(await connect('TLS_AES_128_GCM_SHA256'), 'aes256', true);
    await assertMisdirected(await connect('TLS_AES_256_GCM_SHA384'), 'aes256', false);
  });

  test('carries no request for a tunnel that speaks no HTTP', async (t) => {
    const engine = await startEngine(t);
    await publish(t, engine, 'lax');
    const agent = await engine.connectAgent();
    await agent.openTunnel({ hostname: 'raw', protocol: 'tls' });
    await agent.openTunnel({ hostname: 'own', protocol: 'tls', tlsMode: 'passthrough' });
    const session = await connectHttp2(t, engine, hostnameOf('lax'));
    for (const label of ['raw', 'own']) await assertMisdirected(session, label, true);
    await assertMisdirected(session, 'lax', false);
  });
});

test('certs.static.additional: an RSA certificate is shown to those who cannot do ECDSA', async (t) => {
  const { certFile, keyFile } = await testCertificates();
  const directory = makeTemporaryDirectory(t);
  const { cert, key } = await createRsaPair('rsa', ['localhost']);
  const rsa = { cert_file: join(directory, 'rsa.pem'), key_file: join(directory, 'rsa.key') };
  writeFileSync(rsa.cert_file, cert);
  writeFileSync(rsa.key_file, key);
  const settings = { certs: { static: { cert_file: certFile, key_file: keyFile, additional: [rsa] } } };
  const { port } = await startEngine(t, { settings });
  assert.match(await opensslClient(port, 'localhost'), /subject=.*Test Server/);
  assert.match(await opensslClient(port, 'localhost', '-sigalgs', 'RSA-PSS+SHA256'), /subject=.*rsa/);
});

test('tls.post_quantum require: the engine starts only where it can keep it, and then takes nobody without it', async (t) => {
  const settings = { tls: { listen_addr: '127.0.0.1:0', post_quantum: 'require' } };
  if (!hasPostQuantum()) {
    const message =
      /^Post-quantum key exchange is required, but Node v\S+ with OpenSSL \S+ has no X25519MLKEM768\.$/;
    return assert.rejects(startEngine(t, { settings }), { code: 'POST_QUANTUM_UNAVAILABLE', message });
  }
  const engine = await startEngine(t, { settings });
  await publish(t, engine, 'web');
  const socket = await connectDownstream(engine, hostnameOf('web'));
  socket.destroy();
  const classic = await opensslClient(engine.port, hostnameOf('web'), '-groups', 'X25519');
  assert.match(classic, /alert insufficient security/);
});
