/** One throttle for all doors: who gives bad proofs has to pause at the edge and as an agent, and locks nobody else out. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { proxyHeaderFor } from '../../src/base/proxy-protocol.ts';
import { createTestPair } from '../support/certificates.ts';
import { connectDownstream, readToEnd } from '../support/downstream.ts';
import { type EngineOptions, startEngine, type TestEngine } from '../support/engine.ts';
import { HOSTNAME, requestText } from './http-upstream.ts';

const headerOf = (address: string) =>
  proxyHeaderFor('v2', { address, port: 4_711 }, { address: '203.0.113.1', port: 443 });
const MALLORY = '198.51.100.7';
const ALICE = '192.0.2.1';

/** Every connection of the test comes through a proxy on 127.0.0.1, which tells whose it is. */
const startGuarded = async (t: TestContext, settings: EngineOptions['settings'] = {}) => {
  const engine = await startEngine(t, {
    settings: { proxy_protocol: { trusted: ['127.0.0.1'] }, ...settings },
  });
  const agent = await engine.connectAgent({ proxyHeader: headerOf('203.0.113.9') });
  await agent.openTunnel({ hostname: 'web', tokenAuth: true, mtlsAuth: true });
  return { engine };
};

/** A GET of its own connection; all that came back. */
const ask = async (engine: TestEngine, address: string, token: string): Promise<string> => {
  const { port, ca } = engine;
  const socket = await connectDownstream({ port, ca, proxyHeader: headerOf(address) }, HOSTNAME);
  socket.write(requestText('GET /', `Authorization: Bearer ${token}`, 'Connection: close'));
  return readToEnd(socket);
};

const exhaust = async (engine: TestEngine, address: string) => {
  for (let count = 0; count < LIMITS.badProofsMax + 2; count += 1) {
    const answer = await ask(engine, address, 'nonsense');
    assert.match(answer, count < LIMITS.badProofsMax ? /^HTTP\/1\.1 401 / : /^HTTP\/1\.1 429 /);
  }
};

describe('a source that gave too many bad proofs', () => {
  test('has to pause at the edge and as an agent; nobody else has to', async (t) => {
    const { engine } = await startGuarded(t);
    const token = await engine.createToken('visitor', []);
    await exhaust(engine, MALLORY);
    const answer = await ask(engine, MALLORY, token);
    assert.match(answer, /^HTTP\/1\.1 429 .*\r\nretry-after: [12]\r\n.*AUTHENTICATION_THROTTLED/s);
    const throttled = { code: 7000, message: /AUTHENTICATION_THROTTLED/ };
    const proxyHeader = headerOf(MALLORY);
    await assert.rejects(engine.connectAgent({ proxyHeader, token }), throttled);
    const clientCertificate = await createTestPair('a stranger');
    await assert.rejects(engine.connectAgent({ proxyHeader, clientCertificate }), throttled);
    assert.match(await ask(engine, ALICE, token), /^HTTP\/1\.1 403 .*PERMISSION_MISSING/s);
    // What is known to be good by now is not looked at again.
    assert.match(await ask(engine, MALLORY, token), /^HTTP\/1\.1 403 .*PERMISSION_MISSING/s);
  });

  test('as an agent has to pause at the edge as well', async (t) => {
    const { engine } = await startGuarded(t);
    const proxyHeader = headerOf(MALLORY);
    for (let count = 0; count < LIMITS.badProofsMax; count += 1)
      await assert.rejects(engine.connectAgent({ proxyHeader, token: 'nonsense' }), { code: 1000 });
    assert.match(await ask(engine, MALLORY, 'nonsense'), /^HTTP\/1\.1 429 /);
  });

  test('has to pause at both APIs as well, and those who watch with a token in the URL have', async (t) => {
    const { engine } = await startGuarded(t, { admin: { enabled: true, listen_addr: '127.0.0.1:0' } });
    const token = await engine.createToken('reader', []);
    await exhaust(engine, MALLORY);
    const { port, ca, adminPort = 0 } = engine;
    const get = async (listener: number, target: string, ...lines: string[]) => {
      const path = { port: listener, ca, proxyHeader: headerOf(MALLORY) };
      const socket = await connectDownstream(path, 'localhost');
      const head = [`GET ${target} HTTP/1.1`, `Host: localhost:${listener}`, 'Connection: close', ...lines];
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      return readToEnd(socket);
    };
    const bearer = `Authorization: Bearer ${token}`;
    for (const answer of [
      await get(port, '/api/clients', bearer),
      await get(port, `/api/sse?rstream.token=${token}`),
      await get(adminPort, '/api/admin/tokens', bearer),
    ])
      assert.match(answer, /^HTTP\/1\.1 429 (?=.*\r\nretry-after: [12]\r\n).*AUTHENTICATION_THROTTLED/is);
  });

  test('of the Engine API has to pause at the edge as well', async (t) => {
    const { engine } = await startGuarded(t);
    for (let count = 0; count < LIMITS.badProofsMax; count += 1) {
      const { port, ca } = engine;
      const socket = await connectDownstream({ port, ca, proxyHeader: headerOf(MALLORY) }, 'localhost');
      socket.write(
        'GET /api/clients HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nonsense\r\nConnection: close\r\n\r\n',
      );
      assert.match(await readToEnd(socket), /^HTTP\/1\.1 401 /);
    }
    assert.match(await ask(engine, MALLORY, 'nonsense'), /^HTTP\/1\.1 429 /);
  });

  test('is not locked out while an agent of it is connected, and gets its registered certificate in', async (t) => {
    const { engine } = await startGuarded(t);
    const clientCertificate = await engine.createClientCertificate('laptop');
    await exhaust(engine, MALLORY);
    const proxyHeader = headerOf(MALLORY);
    const agent = await engine.connectAgent({ proxyHeader, clientCertificate });
    const token = await engine.createToken('visitor', []);
    assert.match(await ask(engine, MALLORY, token), /^HTTP\/1\.1 403 /);
    agent.kill();
  });

  test('is never loopback, behind which everybody may stand', async (t) => {
    const engine = await startEngine(t);
    for (let count = 0; count < 2 * LIMITS.badProofsMax; count += 1)
      await assert.rejects(engine.connectAgent({ token: 'nonsense' }), {
        code: 1000,
        message: /TOKEN_INVALID/,
      });
    await engine.connectAgent();
  });
});
