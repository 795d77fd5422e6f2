import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from 'node:tls';
import { createAgent } from '../../src/agent/agent.ts';
import { createDialer } from '../../src/agent/dialer.ts';
import { PERMISSIONS } from '../../src/base/principal.ts';
import { Secret } from '../../src/base/secret.ts';
import { createClock } from '../../src/base/time.ts';
import { createTestPair } from '../support/certificates.ts';
import { startEngine, startTcpUpstream } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { privateDial } from '../support/fake-agent.ts';
import { askApi } from './ask-api.ts';

describe('an agent with a client certificate', () => {
  test('needs no token: it opens its channel, its tunnels and private streams', async (t) => {
    const engine = await startEngine(t);
    const clientCertificate = await engine.createClientCertificate('laptop');
    const agent = await engine.connectAgent({ clientCertificate });
    await agent.openTunnel({ name: 'echo', publish: false });
    // The agent shows its certificate on dial-backs too, beside the secret of the dial request.
    const [dialer, pipe] = await Promise.all([
      privateDial({ port: engine.port, clientCertificate, target: 'echo' }),
      agent.next('dial-request').then((request) => agent.answerDial(request, { zeroRtt: false })),
    ]);
    dialer.write('hello');
    assert.equal(String(await new Promise((resolve) => pipe.once('data', resolve))), 'hello');
    dialer.destroy();
    pipe.destroy();
  });

  test('owns its names through reconnects, and shares none with a token', async (t) => {
    const engine = await startEngine(t);
    const clientCertificate = await engine.createClientCertificate('laptop');
    const first = await engine.connectAgent({ clientCertificate });
    await first.openTunnel({ hostname: 'web' });
    await assert.rejects((await engine.connectAgent()).openTunnel({ hostname: 'web' }), { code: 8000 });
    first.kill();
    const second = await engine.connectAgent({ clientCertificate });
    assert.equal((await second.openTunnel({ hostname: 'web' })).hostname, 'web.t.localhost');
  });

  test('is refused with both proofs, by name, on the channel and on private dials', async (t) => {
    const engine = await startEngine(t);
    const clientCertificate = await engine.createClientCertificate('laptop');
    const token = await engine.createToken('ci');
    const both = { clientCertificate, token };
    const ambiguous = { code: 1000, message: /ambiguous_proof/ };
    await assert.rejects(engine.connectAgent(both), ambiguous);
    await assert.rejects(privateDial({ port: engine.port, target: 'x', ...both }), ambiguous);
    // Also when one of the two would not have been enough.
    const stranger = await createTestPair('a stranger');
    await assert.rejects(engine.connectAgent({ clientCertificate: stranger, token }), ambiguous);
    await assert.rejects(engine.connectAgent({ clientCertificate, token: 'wrong' }), ambiguous);
  });

  test('is refused when nobody registered it, though the same authority signed it', async (t) => {
    const engine = await startEngine(t);
    await engine.createClientCertificate('laptop');
    await assert.rejects(engine.connectAgent({ clientCertificate: await createTestPair('laptop') }), {
      code: 1000,
      message: /CLIENT_CERTIFICATE_UNKNOWN/,
    });
  });

  test('cannot use a certificate without its key', async (t) => {
    const engine = await startEngine(t);
    const { cert } = await engine.createClientCertificate('laptop');
    const { key } = await createTestPair('a thief');
    await assert.rejects(engine.connectAgent({ clientCertificate: { cert, key } }), /key values mismatch/);
  });

  test('is refused once it is revoked, also over a TLS session that it resumes', async (t) => {
    const engine = await startEngine(t);
    const pair = await engine.createClientCertificate('laptop');
    const identity = { certificate: pair.cert, key: new Secret(pair.key) };
    const target = { host: 'localhost', port: engine.port, ca: engine.ca, identity };
    const dialer = createDialer({ clock: createClock() }, { engine: target });
    t.after(() => dialer.destroy());
    // The first connection earns the ticket, the next ones resume: the certificate is not sent again, and still counts.
    for (let count = 0; count < 3; count += 1)
      await assert.rejects(dialer.dial('nowhere'), { code: 'ENGINE_REFUSED', message: /TUNNEL_NOT_FOUND/ });
    await engine.withCredentials((credentials) => credentials.revoke('certificate', 'laptop'));
    await assert.rejects(dialer.dial('nowhere'), {
      code: 'ENGINE_REFUSED',
      message: /CLIENT_CERTIFICATE_REVOKED/,
    });
  });

  test('serves through the built-in agent', async (t) => {
    const engine = await startEngine(t);
    const upstream = await startTcpUpstream(t, (socket) => socket.pipe(socket));
    const pair = await engine.createClientCertificate('laptop', [PERMISSIONS.manageTunnels]);
    const identity = { certificate: pair.cert, key: new Secret(pair.key) };
    const agent = createAgent(
      { clock: createClock(), log: engine.log },
      {
        engine: { host: 'localhost', port: engine.port, ca: engine.ca, identity },
        tunnels: [
          { properties: { name: 'echo', publish: false }, upstream: { host: '127.0.0.1', ...upstream } },
        ],
      },
    );
    const over = agent.run();
    t.after(async () => {
      await agent.stop();
      await over;
    });
    await eventually(() => engine.engine.counts().tunnels === 1, 'the tunnel is open');
    const dialer = await privateDial({
      port: engine.port,
      token: await engine.createToken('dialer'),
      target: 'echo',
    });
    dialer.write('hello');
    assert.equal(String(await new Promise((resolve) => dialer.once('data', resolve))), 'hello');
    dialer.destroy();
  });
});

describe('the Engine API', () => {
  test('never takes a client certificate: it does not even ask for one', async (t) => {
    const engine = await startEngine(t);
    const { cert, key } = await engine.createClientCertificate('laptop');
    const socket = connect({
      port: engine.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: engine.ca,
      ALPNProtocols: ['http/1.1'],
      cert,
      key,
    });
    t.after(() => socket.destroy());
    socket.write('GET /api/tunnels HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const answer = String(await new Promise((resolve) => socket.once('data', resolve)));
    assert.match(answer, /^HTTP\/1\.1 401 /);
    assert.equal((await askApi(engine, '/api/tunnels')).body.code, 'TOKEN_MISSING');
  });
});
