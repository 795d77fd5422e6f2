/** What is kept of a record, and what never is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { failedRecord } from '../../src/base/record.ts';
import { storedFrom } from '../../src/observe/stored-record.ts';
import { exchangeOf, requestOf, tunnelOf } from './traffic.ts';

const NOW_MS = 1_800_000_000_000;
const stored = (record = exchangeOf()) =>
  storedFrom(record, NOW_MS, (address) => (address === '192.0.2.1' ? 'FR' : undefined));

test('a whole exchange has every fact', () => {
  assert.deepEqual(stored(), {
    at: NOW_MS - 12,
    kind: 'exchange',
    duration_ms: 12.3,
    wait_ms: 1.3,
    first_byte_ms: 10,
    address: '192.0.2.1',
    port: 1_024,
    country: 'FR',
    server_name: 'web.t.localhost',
    alpn: 'h2',
    tls_version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    post_quantum: 0,
    offered_groups: 'x25519 secp256r1',
    ja4: 't13d',
    protocol: 'h2',
    method: 'GET',
    host: 'web.t.localhost',
    path: '/path',
    user_agent: null,
    tunnel_id: 'tun_1',
    tunnel_name: 'web',
    agent_id: 'cli_1',
    credential_id: 'crd_1',
    stream_id: null,
    dialer_credential_id: null,
    decision: 'allowed',
    status: 200,
    code: null,
    error_id: null,
    bytes_up: 3,
    bytes_down: 5,
    ended_by: 'upstream',
    reason: 'complete',
  });
});

describe('a secret is not kept', () => {
  for (const [what, request] of [
    ['in the query', requestOf({ target: '/path?token=hunter2&rstream.token=hunter2' })],
    ['in Authorization', requestOf({ headers: ['Authorization', 'Bearer hunter2', 'User-Agent', 'curl'] })],
    ['in a cookie', requestOf({ headers: ['cookie', 'session=hunter2', 'X-Api-Key', 'hunter2'] })],
  ] as const)
    test(what, () => assert.doesNotMatch(JSON.stringify(stored(exchangeOf({ request }))), /hunter2/));
});

test('texts of the downstream are cut', () => {
  const request = requestOf({ target: `/${'a'.repeat(9_000)}`, headers: ['User-Agent', 'b'.repeat(9_000)] });
  const { path, user_agent } = stored(exchangeOf({ request }));
  assert.equal(path?.length, LIMITS.recordTextCharsMax);
  assert.equal(user_agent?.length, LIMITS.recordTextCharsMax);
});

describe('the verdict', () => {
  const connection = exchangeOf().connection;
  const decisionOf = (code: Parameters<typeof fail>[0], tunnel = tunnelOf()) => {
    const { decision, ended_by, reason } = stored(
      failedRecord('exchange', connection, fail(code), { tunnel }),
    );
    return [decision, ended_by, reason];
  };

  test('is denied where a rule said so, with the rule as its reason', () => {
    assert.deepEqual(decisionOf('ADDRESS_FORBIDDEN'), ['denied', 'downstream', 'ADDRESS_FORBIDDEN']);
    assert.deepEqual(decisionOf('MISDIRECTED_REQUEST'), ['denied', 'downstream', 'MISDIRECTED_REQUEST']);
  });

  test('is allowed where something else went wrong', () =>
    assert.deepEqual(decisionOf('UPSTREAM_CLOSED'), ['allowed', 'upstream', 'UPSTREAM_CLOSED']));

  test('is unknown where no tunnel was found', () =>
    assert.equal(stored(failedRecord('exchange', connection, fail('HOST_UNKNOWN'))).decision, null));
});

test('a raw stream has the host name of its tunnel, and a break its side', () => {
  const { request: _, ...rest } = exchangeOf();
  const { host, path, ended_by, reason } = stored({
    ...rest,
    kind: 'stream',
    endedBy: 'downstream',
    isBroken: true,
  });
  assert.deepEqual([host, path, ended_by, reason], ['web.t.localhost', null, 'downstream', 'reset']);
});

test('a replay is told from the exchange of a downstream', () => {
  const { connection } = exchangeOf();
  const replay = exchangeOf({ connection: { ...connection, replay: { of: 'exc_1', as: 'exc_2' } } });
  assert.equal(stored(replay).kind, 'replay');
});
