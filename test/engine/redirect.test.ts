/** The plain HTTP listener of a whole engine: `http.enabled`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { startEngine } from '../support/engine.ts';
import { freePort } from '../support/free-port.ts';
import { HOSTNAME } from './http-upstream.ts';

const get = async (port: number, path: string): Promise<IncomingMessage> => {
  const [response] = (await once(
    request({ host: '127.0.0.1', port, path, headers: { host: HOSTNAME }, agent: false }).end(),
    'response',
  )) as [IncomingMessage];
  response.resume();
  return response;
};

test('http.enabled: everybody is sent to the port that downstreams use, until the engine stops', async (t) => {
  const port = await freePort();
  const http = { enabled: true, listen_addr: `127.0.0.1:${port}` };
  const engine = await startEngine(t, { settings: { http } });
  const { statusCode, headers } = await get(port, '/a?b=c');
  assert.deepEqual([statusCode, headers.location], [308, `https://${HOSTNAME}:${engine.port}/a?b=c`]);
  assert.equal((await get(port, '/.well-known/acme-challenge/token')).statusCode, 404);
  await engine.stop();
  await assert.rejects(get(port, '/'), { code: 'ECONNREFUSED' });
});

test('http.enabled: an address in use keeps the engine from starting, and leaves nothing behind', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const http = { enabled: true, listen_addr: `127.0.0.1:${port}` };
  await assert.rejects(startEngine(t, { settings: { http } }), { code: 'ADDRESS_IN_USE' });
});
