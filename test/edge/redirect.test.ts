import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createRedirect } from '../../src/edge/redirect.ts';

/** Status and location of the answer to a request with this Host. */
const ask = async (t: TestContext, publicPort: number, host: string, path = '/a/?b=c', method = 'GET') => {
  const server = createRedirect({ engineHost: 'edge.test', publicPort: () => publicPort });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const sent = request({ host: '127.0.0.1', port, path, method, headers: { host }, agent: false });
  sent.end();
  const [response] = await once(sent, 'response');
  response.resume();
  return { status: response.statusCode, location: response.headers.location };
};

test('names of this engine are redirected with their path, query and method', async (t) => {
  assert.deepEqual(await ask(t, 443, 'WEB.t.edge.test:80', '/a/?b=c', 'POST'), {
    status: 308,
    location: 'https://web.t.edge.test/a/?b=c',
  });
  assert.equal((await ask(t, 8443, 'edge.test')).location, 'https://edge.test:8443/a/?b=c');
});

test('other names are not, however they are dressed up', async (t) => {
  for (const host of [
    'evil.test',
    'evil.test/.t.edge.test',
    'u@web.t.edge.test',
    'evil.test#.t.edge.test',
    '',
    '[::1]',
  ])
    assert.deepEqual(await ask(t, 443, host), { status: 404, location: undefined }, host);
});
