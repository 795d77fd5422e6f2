/** Who is admitted, and what the others are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ask, READER, startApi } from './start-api.ts';

const basic = { authorization: 'Basic dXNlcjpwYXNz' };

describe('refusals', () => {
  const cases: readonly (readonly [name: string, path: string, ask: Ask, status: number, code: string])[] = [
    ['no token', '/api/clients', {}, 401, 'TOKEN_MISSING'],
    ['another scheme', '/api/clients', { headers: basic }, 401, 'TOKEN_MISSING'],
    ['an empty bearer', '/api/clients', { headers: { authorization: 'Bearer ' } }, 401, 'TOKEN_MISSING'],
    [
      'two words behind bearer',
      '/api/clients',
      { headers: { authorization: 'Bearer a b' } },
      401,
      'TOKEN_MISSING',
    ],
    ['an unknown token', '/api/tunnels', { token: 'secret-xyz' }, 401, 'TOKEN_INVALID'],
    ['an expired token', '/api/tunnels', { token: 'expired-token' }, 401, 'TOKEN_EXPIRED'],
    ['a token in the query', `/api/tunnels?rstream.token=${READER}`, {}, 401, 'TOKEN_IN_URL'],
    [
      'a token in the query and in the header',
      '/api/tunnels?rstream.token=x',
      { token: READER },
      401,
      'TOKEN_IN_URL',
    ],
    [
      'two Authorization headers',
      '/api/tunnels',
      { headers: { authorization: [`Bearer ${READER}`, 'Bearer x'] } },
      401,
      'TOKEN_INVALID',
    ],
    ['a token without the permission', '/api/clients', { token: 'agent-token' }, 403, 'PERMISSION_MISSING'],
    [
      'a token with boundaries',
      '/api/tunnels/x',
      { token: 'boundary-token' },
      403,
      'BOUNDARIES_NOT_ENFORCED',
    ],
    ['no token for the check', '/api/auth', {}, 401, 'TOKEN_MISSING'],
  ];
  for (const [name, path, ask, status, code] of cases)
    test(`${name} is a ${status}, said once in the log without the token`, async (t) => {
      const api = await startApi(t);
      const answer = await api.ask(path, ask);
      const body = JSON.parse(answer.body);
      assert.equal(answer.status, status);
      assert.equal(body.code, code);
      assert.match(body.error, /\.$/);
      assert.equal(api.log.lines.length, 1);
      const [line] = api.log.lines;
      assert.deepEqual([line?.level, line?.fields.errorId], ['warn', body.error_id]);
      assert.ok(!JSON.stringify(line).includes(ask.token ?? 'rstream.token'));
      assert.equal(/^Bearer realm=/.test(answer.headers['www-authenticate'] ?? ''), status === 401);
    });

  test('a challenge says whether a proof was seen', async (t) => {
    const { ask } = await startApi(t);
    const without = await ask('/api/auth');
    const wrong = await ask('/api/auth', { token: 'wrong' });
    assert.ok(!without.headers['www-authenticate']?.includes('error='));
    assert.match(wrong.headers['www-authenticate'] ?? '', /error="invalid_token"/);
  });

  test('a missing permission is named', async (t) => {
    const { ask } = await startApi(t);
    const { body } = await ask('/api/tunnels', { token: 'agent-token' });
    assert.match(JSON.parse(body).error, /tunnels\.resources\.read-only/);
  });

  test('a fault of ours is a 500 that tells nothing but its id', async (t) => {
    const { ask, log } = await startApi(t);
    const { status, body } = await ask('/api/tunnels', { token: 'broken-store' });
    assert.equal(status, 500);
    assert.equal(JSON.parse(body).code, 'INTERNAL');
    assert.ok(!body.includes('fire'));
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields.errorId]),
      [['error', JSON.parse(body).error_id]],
    );
  });
});

describe('admission', () => {
  const cases: readonly (readonly [name: string, path: string, ask: Ask, status: number])[] = [
    ['a reader', '/api/clients', { token: READER }, 200],
    ['an unrestricted token', '/api/tunnels', { token: 'unrestricted-token' }, 200],
    ['any spelling of bearer', '/api/tunnels', { headers: { authorization: `bEARER  ${READER} ` } }, 200],
    ['any valid token, for the check', '/api/auth', { token: 'agent-token' }, 204],
  ];
  for (const [name, path, ask, status] of cases)
    test(`${name} gets ${status}`, async (t) => {
      const api = await startApi(t);
      assert.equal((await api.ask(path, ask)).status, status);
      assert.deepEqual(api.log.lines, []);
    });
});
