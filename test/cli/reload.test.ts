import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeFrom } from '../../src/cli/reload.ts';
import { configFromObject } from '../../src/config/load.ts';

type Settings = Readonly<Record<string, unknown>>;

const configWith = (settings: Settings) =>
  configFromObject(
    {
      engine: { host: 'localhost' },
      certs: { static: { cert_file: 'cert.pem', key_file: 'key.pem' } },
      ...settings,
    },
    { dir: '/data' },
  );

const secret = (letter: string) => ({ auth: { jwt: { token_jwt_secret: letter.repeat(32) } } });

test('rules, log level and drain time change at once', () => {
  const next = configWith({
    engine: { host: 'localhost', log_level: 'debug' },
    policy: { trusted_ips: ['192.0.2.0/24'], published_protocols: ['http'] },
    timeouts: { drain_seconds: 5 },
  });
  const { config, changed, pending } = changeFrom(configWith({}), next);
  assert.deepEqual(changed.toSorted(), [
    'engine.log_level',
    'policy.published_protocols',
    'policy.trusted_ips',
    'timeouts.drain_seconds',
  ]);
  assert.deepEqual(pending, []);
  assert.deepEqual(config, next);
});

test('what needs a new start is named, and stays as it was', () => {
  const running = configWith(secret('a'));
  const next = configWith({
    ...secret('b'),
    tls: { listen_addr: '127.0.0.1:1' },
    policy: { tls_min_version: 'tls1.3', post_quantum: 'require' },
  });
  const { config, changed, pending } = changeFrom(running, next);
  assert.deepEqual(changed, []);
  assert.deepEqual(pending.toSorted(), [
    'auth.jwt.token_jwt_secret',
    'policy.post_quantum',
    'policy.tls_min_version',
    'tls.listen_addr',
  ]);
  assert.deepEqual(config, running);
});

test('nothing differs between two readings of the same file', () => {
  const { changed, pending } = changeFrom(configWith(secret('a')), configWith(secret('a')));
  assert.deepEqual([changed, pending], [[], []]);
});

test('countries wait for the database that came with them', () => {
  const next = configWith({ geoip: { database: 'countries.mmdb' }, policy: { geoip: ['FR'] } });
  const { config, changed, pending } = changeFrom(configWith({}), next);
  assert.deepEqual([changed, pending.toSorted()], [[], ['geoip.database', 'policy.geoip']]);
  assert.deepEqual(config.policy.geoip, []);
});

test('another secret of a webhook is a difference, and the same one is none', () => {
  const webhook = (letter: string) => {
    const secret = `whsec_${letter.repeat(40)}`;
    return { webhooks: { endpoints: [{ name: 'a', url: 'https://a.example/', secret, events: ['*'] }] } };
  };
  const pendingFrom = (a: string, b: string) =>
    changeFrom(configWith(webhook(a)), configWith(webhook(b))).pending;
  assert.deepEqual(pendingFrom('a', 'b'), ['webhooks.endpoints']);
  assert.deepEqual(pendingFrom('a', 'a'), []);
});
