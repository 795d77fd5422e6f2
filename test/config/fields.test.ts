/** The list of settings says of each what documents and the environment need. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG_FIELDS, CONFIG_SECTIONS, fieldAt } from '../../src/config/fields.ts';

test('every setting and section has a sentence for the operator', () => {
  for (const { key, doc } of [...CONFIG_FIELDS, ...CONFIG_SECTIONS]) assert.match(doc, /^[A-Z].{8,}\.$/, key);
});

test('every setting has a default, or an example to show instead', () => {
  for (const { key, defaultValue, example } of CONFIG_FIELDS)
    assert.ok(defaultValue !== undefined || example !== undefined, key);
});

test('every number has bounds', () => {
  for (const { key, kind, expectation } of CONFIG_FIELDS)
    if (kind === 'integer') assert.match(expectation, /^a whole number from \d+ to \d{1,16}$/, key);
});

test('variables are named by the rule, and no two alike', () => {
  assert.equal(fieldAt('tls.listen_addr')?.env, 'RSTREAM_ENGINE_TLS__LISTEN_ADDR');
  assert.equal(fieldAt('auth.jwt.token_jwt_secret')?.env, 'RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET');
  assert.equal(fieldAt('trusted_proxies')?.env, 'RSTREAM_ENGINE_TRUSTED_PROXIES');
  assert.equal(fieldAt('certs.static.additional.0.key_file')?.env, undefined);
  const names = CONFIG_FIELDS.flatMap(({ env }) => env ?? []);
  assert.equal(new Set(names.map((env) => env.replaceAll('__', '_'))).size, names.length);
});

test('secrets, files and required settings are known as such', () => {
  const keysOf = (name: 'isSecret' | 'isFile' | 'isRequired') =>
    CONFIG_FIELDS.filter((field) => field[name]).map(({ key }) => key);
  assert.deepEqual(keysOf('isSecret'), [
    'auth.jwt.token_jwt_secret',
    'store.signing_key',
    'metrics.prometheus.bearer_token',
    'webhooks.endpoints',
  ]);
  assert.deepEqual(keysOf('isFile'), [
    'certs.static.cert_file',
    'certs.static.key_file',
    'geoip.database',
    'store.path',
    'audit.path',
    'admin.ca_cert_file',
    'admin.ca_key_file',
    'records.path',
    'webhooks.path',
  ]);
  assert.deepEqual(keysOf('isRequired'), ['engine.host', 'certs.static.cert_file', 'certs.static.key_file']);
});

test('an entry of a list belongs to its setting, a longer name does not', () => {
  assert.equal(fieldAt('trusted_proxies.3')?.key, 'trusted_proxies');
  assert.equal(fieldAt('engine.hostname'), undefined);
});
