/**
 * Every endpoint of the Admin API, by its own document, before each kind of caller: a row that is added without a thought is closed, or
 * stands in the short lists below.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TestEngine } from '../support/engine.ts';
import { askAdmin, logIn, startAdminEngine } from './ask-admin.ts';

const OPEN_TO_ANYONE = ['POST /session', 'POST /session/link'];
/** Of what does not only read. */
const OPEN_TO_VIEWERS = [
  'DELETE /session',
  'POST /session/password',
  'POST /session/totp/secret',
  'POST /session/totp',
  'POST /session/totp/off',
  'DELETE /sessions/{id}',
  'POST /auth-tokens',
  'POST /policy/dry-run',
];
/** Of what only reads. */
const CLOSED_TO_VIEWERS = /inspection/;
const OPEN_TO_ANY_TOKEN = ['POST /auth-tokens'];

interface Endpoint {
  readonly method: string;
  readonly path: string;
  /** As the document calls it. */
  readonly name: string;
}

const startWithDocument = async (t: TestContext) => {
  const engine = await startAdminEngine(t, { inspector: { enabled: true }, records: { enabled: true } });
  const { body: document } = await askAdmin(engine, 'GET', '/api/admin/openapi.json');
  const endpoints = Object.entries(document.paths as Record<string, Record<string, unknown>>).flatMap(
    ([path, operations]) =>
      Object.keys(operations).map((method): Endpoint => {
        const verb = method.toUpperCase();
        return { method: verb, path: path.replace(/\{\w+\}/g, 'none'), name: `${verb} ${path}` };
      }),
  );
  assert.ok(endpoints.length > 60, `${endpoints.length} endpoints`);
  return { engine, endpoints };
};

/** Asks for each; what changes sends a body that no row takes, so that nothing is changed where the gate is open. */
const askEach = async (
  engine: TestEngine,
  endpoints: readonly Endpoint[],
  headers: Record<string, string | undefined>,
  expected: (endpoint: Endpoint) => readonly [status: number, code: string] | undefined,
): Promise<void> => {
  for (const endpoint of endpoints) {
    const { method, path, name } = endpoint;
    const body = method === 'GET' || method === 'DELETE' ? undefined : { nonsense: true };
    const answer = await askAdmin(engine, method, `/api/admin${path}`, body, headers);
    const wanted = expected(endpoint);
    if (wanted) assert.deepEqual([answer.status, answer.body?.code], wanted, name);
    else
      assert.ok(
        !['LOGIN_REQUIRED', 'ROLE_MISSING', 'PERMISSION_MISSING'].includes(answer.body?.code),
        `${name}: ${answer.text}`,
      );
  }
};

const isOf =
  (names: readonly string[]) =>
  ({ name }: Endpoint): boolean =>
    names.includes(name);
const opensToAnyone = isOf(OPEN_TO_ANYONE);

test('without a proof nothing is done, and with one of no good neither', async (t) => {
  const { engine, endpoints } = await startWithDocument(t);
  await askEach(engine, endpoints, {}, (endpoint) =>
    opensToAnyone(endpoint) ? undefined : [401, 'LOGIN_REQUIRED'],
  );
  const token = await engine.createToken('gone', ['engine.admin']);
  engine.revokeToken('gone');
  await askEach(engine, endpoints, { authorization: `Bearer ${token}` }, (endpoint) =>
    opensToAnyone(endpoint) ? undefined : [401, 'TOKEN_REVOKED'],
  );
});

test('a token without the permission gets an auth token, and nothing else', async (t) => {
  const { engine, endpoints } = await startWithDocument(t);
  const tokens = [
    await engine.createToken('unrestricted'),
    await engine.createToken('reader', ['tunnels.resources.read-only']),
  ];
  for (const token of tokens)
    await askEach(engine, endpoints, { authorization: `Bearer ${token}` }, (endpoint) => {
      if (opensToAnyone(endpoint) || isOf(OPEN_TO_ANY_TOKEN)(endpoint)) return undefined;
      return /^\w+ \/session(?:\/|$)/.test(endpoint.name)
        ? [401, 'LOGIN_REQUIRED']
        : [403, 'PERMISSION_MISSING'];
    });
});

test('a viewer changes nothing, and reads nobody else’s requests', async (t) => {
  const { engine, endpoints } = await startWithDocument(t);
  const { cookie, origin } = await logIn(engine, 'guest', 'viewer');
  const isOpen = (endpoint: Endpoint) =>
    opensToAnyone(endpoint) ||
    (endpoint.method === 'GET' ? !CLOSED_TO_VIEWERS.test(endpoint.path) : isOf(OPEN_TO_VIEWERS)(endpoint));
  // The own session last, as it would end with it.
  const ordered = endpoints.toSorted(
    (a, b) => Number(a.name === 'DELETE /session') - Number(b.name === 'DELETE /session'),
  );
  await askEach(engine, ordered, { cookie, origin }, (endpoint) =>
    isOpen(endpoint) ? undefined : [403, 'ROLE_MISSING'],
  );
});

test('an admin’s cookie is worth nothing under another host, from another page, or from no page that says so', async (t) => {
  const { engine, endpoints } = await startWithDocument(t);
  const { cookie, origin } = await logIn(engine, 'owner');
  await askEach(engine, endpoints, { cookie, origin, host: `evil.example:${engine.adminPort}` }, () => [
    421,
    'ADMIN_HOST_UNKNOWN',
  ]);
  for (const headers of [{ origin: 'https://evil.example' }, { origin, 'sec-fetch-site': 'cross-site' }])
    await askEach(engine, endpoints, { cookie, ...headers }, () => [403, 'ORIGIN_FORBIDDEN']);
  const writes = endpoints.filter(({ method, name }) => method !== 'GET' && !OPEN_TO_ANYONE.includes(name));
  await askEach(engine, writes, { cookie }, () => [403, 'ORIGIN_FORBIDDEN']);
  const socket = { connection: 'Upgrade', upgrade: 'websocket' };
  const reads = endpoints.filter(({ method }) => method === 'GET');
  await askEach(engine, reads, { cookie, ...socket }, () => [403, 'ORIGIN_FORBIDDEN']);
});
