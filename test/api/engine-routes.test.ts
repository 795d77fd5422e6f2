/** What the Engine API shows, to whom, and under which filters. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AGENTS, ownerOf, READER, startApi } from './start-api.ts';

const [FIRST, SECOND] = AGENTS as [(typeof AGENTS)[0], (typeof AGENTS)[0]];

describe('the shapes', () => {
  test('clients are a bare list, and keys that are not set are left out', async (t) => {
    const { ask } = await startApi(t);
    const { status, headers, body } = await ask('/api/clients', { token: READER });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.deepEqual(JSON.parse(body), [
      {
        id: 'cli_first',
        status: 'online',
        user_id: 'usr_1',
        agent: 'rstream-go',
        version: '1.28.2',
        os: 'linux',
        arch: 'amd64',
        protocol_version: '1.4.5',
        labels: { zone: 'a', empty: '' },
      },
      { id: 'cli_second', status: 'online', agent: 'rstream-python', labels: { zone: 'b' } },
    ]);
  });

  test('a tunnel has the keys of the protocol, its date in UTC with Z and its user', async (t) => {
    const { ask, registry } = await startApi(t);
    const { id } = registry.open(ownerOf(FIRST), { name: 'web', hostname: 'shop', labels: { env: 'dev' } });
    const expected = {
      id,
      status: 'online',
      client_id: 'cli_first',
      user_id: 'usr_1',
      creation_date: '2027-01-15T08:00:00.000Z',
      name: 'web',
      type: 'bytestream',
      publish: true,
      protocol: 'http',
      labels: { env: 'dev' },
      host: 'shop.t.localhost:8443',
      hostname: 'shop.t.localhost',
      port: 8443,
      http_version: 'http/1.1',
    };
    assert.deepEqual(JSON.parse((await ask('/api/tunnels', { token: READER })).body), [expected]);
    assert.deepEqual(JSON.parse((await ask(`/api/tunnels/${id}`, { token: READER })).body), expected);
  });

  test('a private tunnel has no address, and no credential is shown', async (t) => {
    const { ask, registry } = await startApi(t);
    registry.open(ownerOf(SECOND), {
      publish: false,
      name: 'db',
      type: 'datagram',
      datagramGuaranteedDelivery: true,
    });
    const { body } = await ask('/api/tunnels', { token: READER });
    const [tunnel] = JSON.parse(body);
    for (const key of ['host', 'hostname', 'port', 'user_id', 'protocol']) assert.ok(!(key in tunnel), key);
    assert.equal(tunnel.datagram_guaranteed_delivery, true);
    assert.ok(!body.includes('crd_'));
  });

  test('nothing open is an empty list', async (t) => {
    const { ask } = await startApi(t);
    assert.equal((await ask('/api/tunnels', { token: READER })).body, '[]');
  });

  test('a tunnel is found by its id, not by its name, and no longer than it is open', async (t) => {
    const { ask, registry } = await startApi(t);
    const { id } = registry.open(ownerOf(FIRST), { name: 'web' });
    for (const path of ['/api/tunnels/web', '/api/tunnels/tun_unknown', '/api/tunnels/%00']) {
      const { status, body } = await ask(path, { token: READER });
      assert.deepEqual([status, JSON.parse(body).code], [404, 'TUNNEL_NOT_FOUND']);
    }
    registry.close(id);
    assert.equal((await ask(`/api/tunnels/${id}`, { token: READER })).status, 404);
  });
});

describe('params', () => {
  const INVENTORY = [
    [FIRST, { name: 'web', hostname: 'shop', labels: { env: 'dev', team: 'x' } }],
    [FIRST, { name: 'api', hostname: 'api', labels: { env: 'prod' } }],
    [SECOND, { name: 'db', publish: false, protocol: 'tls', labels: { team: '' } }],
  ] as const;

  const tunnelCases: readonly (readonly [params: string | undefined, names: string])[] = [
    [undefined, 'web api db'],
    ['', 'web api db'],
    ['null', 'web api db'],
    [' null ', 'web api db'],
    ['{}', 'web api db'],
    ['{"filters": {}}', 'web api db'],
    ['{"limit":2}', 'web api'],
    ['{"limit": 100, "filters": {"publish": true}}', 'web api'],
    ['{"filters":{"publish":false}}', 'db'],
    ['{"filters":{"name":"api"}}', 'api'],
    ['{"filters":{"name":"ap"}}', ''],
    ['{"filters":{"type":"bytestream"}}', 'web api db'],
    ['{"filters":{"status":"online"}}', 'web api db'],
    ['{"filters":{"status":"offline"}}', ''],
    ['{"filters":{"client_id":"cli_second"}}', 'db'],
    ['{"filters":{"user_id":"usr_1"}}', 'web api'],
    ['{"filters":{"protocol":"http"}}', 'web api'],
    ['{"filters":{"hostname":"shop.t.localhost"}}', 'web'],
    ['{"filters":{"http_version":"http/1.1"}}', 'web api'],
    ['{"filters":{"labels":{"env":"dev"}}}', 'web'],
    ['{"filters":{"labels":{"env":null}}}', 'web api'],
    ['{"filters":{"labels":{"team":null}}}', 'web db'],
    ['{"filters":{"labels":{"team":""}}}', 'db'],
    ['{"filters":{"labels":{"env":null,"team":null}}}', 'web'],
    ['{"filters":{"labels":{"toString":null}}}', ''],
    ['{"filters":{"labels":{}}}', 'web api db'],
    ['{"filters":{"labels":{"env":null},"name":"api"},"limit":1}', 'api'],
  ];
  for (const [params, names] of tunnelCases)
    test(`tunnels by ${params ?? 'no params'} are: ${names || 'none'}`, async (t) => {
      const { ask, registry } = await startApi(t);
      for (const [agent, properties] of INVENTORY) registry.open(ownerOf(agent), { ...properties });
      const query = params === undefined ? '' : `?params=${encodeURIComponent(params)}`;
      const { body } = await ask(`/api/tunnels${query}`, { token: READER });
      assert.equal(
        JSON.parse(body)
          .map(({ name }: { name: string }) => name)
          .join(' '),
        names,
      );
    });

  const clientCases: readonly (readonly [params: string, ids: string])[] = [
    ['{"filters":{"agent":"rstream-go"}}', 'cli_first'],
    ['{"filters":{"id":"cli_second"}}', 'cli_second'],
    ['{"filters":{"os":"linux","arch":"amd64","protocol_version":"1.4.5"}}', 'cli_first'],
    ['{"filters":{"labels":{"zone":null}}}', 'cli_first cli_second'],
    ['{"filters":{"labels":{"zone":"b"}}}', 'cli_second'],
    ['{"limit":1}', 'cli_first'],
  ];
  for (const [params, ids] of clientCases)
    test(`clients by ${params} are: ${ids}`, async (t) => {
      const { ask } = await startApi(t);
      const { body } = await ask(`/api/clients?params=${encodeURIComponent(params)}`, { token: READER });
      assert.equal(
        JSON.parse(body)
          .map(({ id }: { id: string }) => id)
          .join(' '),
        ids,
      );
    });

  const refused: readonly (readonly [query: string, sentence: RegExp])[] = [
    ['params={', /not JSON/],
    ['params=%7B%22limit%22', /not JSON/],
    ['params=[]', /expected object/],
    ['params=1', /expected object/],
    ['params="x"', /expected object/],
    ['params={"limit":0}', /limit/],
    ['params={"limit":1.5}', /limit/],
    ['params={"limit":"1"}', /limit/],
    ['params={"tunnels":{}}', /tunnels/],
    ['params={"filters":{"color":"red"}}', /filters.*color/],
    ['params={"filters":{"publish":"true"}}', /filters\.publish/],
    ['params={"filters":{"status":"asleep"}}', /filters\.status/],
    ['params={"filters":{"labels":{"env":1}}}', /filters\.labels\.env/],
    ['params={"filters":{"labels":{"__proto__":"x"}}}', /not JSON/],
    ['params=null&params=null', /more than once/],
  ];
  for (const [query, sentence] of refused)
    test(`${query} is refused with a sentence`, async (t) => {
      const { ask } = await startApi(t);
      const { status, body } = await ask(`/api/tunnels?${query.replaceAll('"', '%22')}`, { token: READER });
      assert.equal(status, 400);
      assert.equal(JSON.parse(body).code, 'PARAMS_INVALID');
      assert.match(JSON.parse(body).error, sentence);
    });
});
