/** The document against the answers: whatever one says, the other does. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ApiNeeds } from '../../src/api/app.ts';
import { openWatcher, TRANSPORTS, type WatchAsk, type WatchRefusal } from '../support/watcher.ts';
import { AGENTS, ownerOf, READER, startApi } from './start-api.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly const?: unknown;
}

/** Where a value departs from a schema of the document; keys that the document does not know are departures too. */
const departures = (root: { components: { schemas: Record<string, Schema> } }, schema: Schema) => {
  const visit = (value: unknown, { $ref, ...own }: Schema, at: string): string[] => {
    if ($ref) return visit(value, root.components.schemas[$ref.split('/').at(-1) ?? ''] ?? {}, at);
    if (own.oneOf) {
      const tries = own.oneOf.map((option) => visit(value, option, at));
      const fits = tries.filter((found) => found.length === 0);
      return fits.length === 1 ? [] : [`${at}: fits ${fits.length} schemas: ${tries.join()}`];
    }
    if ('const' in own && value !== own.const) return [`${at}: not ${own.const}`];
    if (own.type === undefined) return [`${at}: no type in the document`];
    if (own.enum && !own.enum.includes(value)) return [`${at}: not one of ${own.enum}`];
    if (own.type === 'array')
      return Array.isArray(value)
        ? value.flatMap((item, i) => visit(item, own.items ?? {}, `${at}/${i}`))
        : [`${at}: no list`];
    if (own.type === 'object') {
      if (typeof value !== 'object' || value === null) return [`${at}: no object`];
      const missing = (own.required ?? [])
        .filter((key) => !(key in value))
        .map((key) => `${at}/${key}: missing`);
      const present = Object.entries(value).flatMap(([key, item]) => {
        const known = own.properties?.[key] ?? own.additionalProperties;
        return known ? visit(item, known, `${at}/${key}`) : [`${at}/${key}: undocumented`];
      });
      return [...missing, ...present];
    }
    const actual = own.type === 'integer' && Number.isInteger(value) ? 'integer' : typeof value;
    return actual === own.type ? [] : [`${at}: ${actual} instead of ${own.type}`];
  };
  return (value: unknown) => visit(value, schema, '');
};

const readDocument = async (ask: Awaited<ReturnType<typeof startApi>>['ask']) => {
  const answer = await ask('/api/openapi.json');
  return { answer, document: JSON.parse(answer.body) };
};

interface Operation {
  readonly get: {
    readonly operationId: string;
    readonly responses: Readonly<Record<string, Response>>;
    readonly security?: readonly object[];
  };
}
type Response = { readonly content?: Readonly<Record<string, { schema: Schema }>> };

/** The operations of the watch endpoints, which alone take a token in the URL, or the others. */
const endless = (document: { paths: Record<string, Operation> }, isEndless: boolean) =>
  Object.entries(document.paths).filter(([, { get }]) => (get.security !== undefined) === isEndless);

describe('the document', () => {
  test('is public and has the title, version and type that official tools look for', async (t) => {
    const { ask } = await startApi(t);
    const { answer, document } = await readDocument(ask);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/vnd.oai.openapi+json;version=3.1');
    assert.equal(document.openapi, '3.1.0');
    assert.deepEqual([document.info.title, document.info.version], ['rstream Engine API', '1.0.0']);
    assert.deepEqual(Object.keys(document.paths), [
      '/api/clients',
      '/api/tunnels',
      '/api/tunnels/{id}',
      '/api/auth',
      '/api/sse',
      '/api/websocket',
    ]);
  });

  test('has a target for every reference and one id for every operation', async (t) => {
    const { ask } = await startApi(t);
    const { answer, document } = await readDocument(ask);
    for (const [, name] of answer.body.matchAll(/"#\/components\/schemas\/(\w+)"/g))
      assert.ok(document.components.schemas[name ?? ''], name);
    const ids = Object.values<Operation>(document.paths).map(({ get }) => get.operationId);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('describes every answer and every refusal that its paths give', async (t) => {
    const { ask, registry } = await startApi(t);
    const { document } = await readDocument(ask);
    const { id } = registry.open(ownerOf(AGENTS[0]!), {
      name: 'web',
      labels: { env: 'dev' },
      tlsAlpns: ['h2'],
      tokenAuth: false,
    });
    registry.open(ownerOf(AGENTS[1]!), {
      publish: false,
      type: 'datagram',
      datagramGuaranteedDelivery: true,
    });

    const tries = [
      { token: READER },
      {},
      { token: 'agent-token' },
      { token: READER, query: '?params=x' },
      { token: READER, id: 'tun_unknown' },
    ];
    const seen = new Set<string>();
    for (const [path, { get }] of endless(document, false))
      for (const { query = '', id: wantedId = id, ...how } of tries) {
        const { status, body } = await ask(path.replace('{id}', wantedId) + query, how);
        const response = get.responses[status];
        assert.ok(response, `${path} answers ${status}, which is not documented`);
        seen.add(`${path} ${status}`);
        const schema = Object.values(response.content ?? {})[0]?.schema;
        if (schema) assert.deepEqual(departures(document, schema)(JSON.parse(body)), [], `${path} ${status}`);
        else assert.equal(body, '');
      }
    const documented = endless(document, false).flatMap(([path, { get }]) =>
      Object.keys(get.responses).map((status) => `${path} ${status}`),
    );
    assert.deepEqual([...seen].sort(), documented.sort());
  });

  test('describes every event and every refusal of the watch endpoints', async (t) => {
    let tellAgent: Parameters<ApiNeeds['onAgent']>[0] = () => {};
    const { api, port, registry, ask } = await startApi(t, {
      onAgent: (listener) => {
        tellAgent = listener;
        return () => {};
      },
    });
    const { document } = await readDocument(ask);
    const schema = { $ref: '#/components/schemas/Event' };
    const tries: readonly WatchAsk[] = [
      { token: READER },
      {},
      { token: 'agent-token' },
      { token: READER, query: '?params=x' },
    ];
    const seen = new Set<string>();
    for (const transport of TRANSPORTS) {
      for (const how of tries) {
        const refused = await openWatcher(transport, { port }, how).then(
          (watcher) => watcher.count(1),
          (refusal: WatchRefusal) => refusal,
        );
        const status = 'status' in refused ? refused.status : transport === 'sse' ? 200 : 101;
        seen.add(`/api/${transport} ${status}`);
        const problem = { $ref: '#/components/schemas/Problem' };
        if ('status' in refused)
          assert.deepEqual(departures(document, problem)(JSON.parse(refused.message)), []);
      }
      const watcher = await openWatcher(transport, { port }, { token: READER });
      tellAgent('opened', AGENTS[0]!);
      registry.close(registry.open(ownerOf(AGENTS[0]!), { labels: { env: 'dev' } }).id);
      tellAgent('closed', AGENTS[0]!);
      const events = await watcher.count(5);
      assert.deepEqual(
        events.flatMap((event) => departures(document, schema)(event)),
        [],
      );
    }
    seen.add(`/api/websocket ${(await ask('/api/websocket', { token: READER })).status}`);
    api.drain();
    for (const transport of TRANSPORTS)
      await assert.rejects(
        openWatcher(transport, { port }, { token: READER }),
        ({ status }: WatchRefusal) => {
          seen.add(`/api/${transport} ${status}`);
          return true;
        },
      );
    const documented = endless(document, true).flatMap(([path, { get }]) =>
      Object.keys(get.responses).map((status) => `${path} ${status}`),
    );
    assert.deepEqual([...seen].sort(), documented.sort());
  });

  test('the checker of this test sees what departs', () => {
    const root = { components: { schemas: {} } };
    const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['b'] };
    assert.deepEqual(departures(root, schema)({ a: 1.5, c: 1 }), [
      '/b: missing',
      '/a: number instead of integer',
      '/c: undocumented',
    ]);
  });
});
