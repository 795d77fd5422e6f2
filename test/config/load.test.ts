/** Loading: folders of valid and invalid files, the environment over them, and what an operator is told. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EngineError, type ErrorCode } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { configFromObject, configPathFrom, describeConfig, loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';

const fixtures = fileURLToPath(new URL('../fixtures/config', import.meta.url));
const fixture = (name: string) => join(fixtures, name);
const yamlIn = (folder: string) =>
  readdirSync(join(fixtures, folder)).filter((name) => name.endsWith('.yaml'));

const MINIMAL = fixture('valid/minimal.yaml');
const SECRET = '0123456789abcdef0123456789abcdef';

/** The faults of what must not load, one a line. */
const faultsOf = (load: () => unknown, code: ErrorCode = 'CONFIG_INVALID'): string => {
  let thrown: unknown;
  try {
    load();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof EngineError, `threw ${thrown}`);
  assert.equal(thrown.code, code);
  return String(thrown.details.faults).replace(/^ {2}/gm, '');
};

const temporaryFile = (t: TestContext, text: string | Buffer, mode = 0o600): string => {
  const dir = mkdtempSync(join(tmpdir(), 'config-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'config.yaml');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};

describe('loadConfig', () => {
  for (const name of yamlIn('valid'))
    test(`loads ${name}`, () => {
      assert.deepEqual(
        loadConfig({ path: fixture(`valid/${name}`), env: {} }).warnings.length,
        name === 'every-setting.yaml' ? 1 : 0,
      );
    });

  for (const name of yamlIn('invalid'))
    test(`refuses ${name} with its faults, and without a secret`, () => {
      const path = fixture(`invalid/${name}`);
      const faults = faultsOf(() => loadConfig({ path, env: {} }));
      assert.equal(`${faults}\n`, readFileSync(path.replace(/yaml$/, 'expected'), 'utf8'));
      assert.doesNotMatch(faults, /hunter2|0123456789abcdef/);
    });

  test('fills in the defaults, and starts relative paths at the directory of the file', () => {
    const { config, path, dir } = loadConfig({ path: MINIMAL, env: {} });
    assert.equal(path, MINIMAL);
    assert.equal(dir, dirname(MINIMAL));
    const expected: Config = {
      engine: { host: 'edge.example.com', log_level: 'info' },
      http: { enabled: false, listen_addr: '[::]:80' },
      tls: { enabled: true, listen_addr: '[::]:443', min_version: 'tls1.2', post_quantum: 'prefer' },
      tcp: { enabled: false, listen_host: '::', port_range: '20000-20999' },
      certs: { static: { enabled: true, cert_file: join(dir, 'cert.pem'), key_file: join(dir, 'key.pem') } },
      auth: { jwt: { enabled: true } },
      policy: {
        require_authentication: false,
        published_protocols: ['http', 'tls', 'tcp'],
        post_quantum: 'optional',
        trusted_ips: [],
        geoip: [],
        allow_any: false,
      },
      geoip: {},
      store: { path: join(dir, 'engine.db') },
      audit: { path: join(dir, 'audit.db'), size_bytes: 67_108_864, keep_days: 730 },
      admin: {
        enabled: false,
        listen_addr: '127.0.0.1:9443',
        hosts: [],
        ca_cert_file: join(dir, 'ca.pem'),
        ca_key_file: join(dir, 'ca-key.pem'),
      },
      metrics: { prometheus: { enabled: false, listen_addr: '127.0.0.1:9090', path: '/metrics' } },
      records: {
        enabled: true,
        path: join(dir, 'records.db'),
        max_rows: 100_000,
        max_age_days: 30,
        log: 'debug',
      },
      probes: { enabled: true, interval_seconds: 60, deadline_seconds: 10 },
      inspector: {
        enabled: false,
        exchanges_max: 200,
        body_bytes_max: 65_536,
        memory_bytes_max: 67_108_864,
        redact_headers: [],
      },
      webhooks: { allow_private: false, path: join(dir, 'webhooks.db') },
      timeouts: {
        stream_request_seconds: 30,
        http_idle_seconds: 90,
        http_response_seconds: 300,
        request_body_idle_seconds: 60,
        stream_idle_seconds: 86_400,
        drain_seconds: 30,
      },
      limits: {
        connections: 20_000,
        connections_per_source: 1_000,
        connection_rate_per_source: 200,
        requests_per_connection: 128,
        requests_per_tunnel: 10_000,
      },
      upstream: { verify: false },
      proxy_protocol: { trusted: [] },
      trusted_proxies: [],
    };
    assert.deepEqual(config, expected);
  });

  test('takes a section without settings for an absent one', () => {
    const path = fixture('valid/sections-without-settings.yaml');
    assert.deepEqual(loadConfig({ path, env: {} }).config, loadConfig({ path: MINIMAL, env: {} }).config);
  });

  test('keeps what every setting says, in its canonical form', () => {
    const path = fixture('valid/every-setting.yaml');
    const { config, dir } = loadConfig({ path, env: {} });
    assert.equal(config.engine.host, 'edge.example.com');
    assert.equal(config.tls.public_port, 443);
    assert.equal(config.certs.static.cert_file, '/etc/rstream/tls/cert.pem');
    assert.equal(config.certs.static.key_file, join(dir, 'tls/key.pem'));
    assert.equal(config.tls.post_quantum, 'require');
    assert.deepEqual(config.certs.static.additional, [
      { cert_file: join(dir, 'tls/rsa-cert.pem'), key_file: '/etc/rstream/tls/rsa-key.pem' },
    ]);
    assert.equal(config.store.path, join(dir, '../state/engine.db'));
    assert.ok(config.auth.jwt.token_jwt_secret instanceof Secret);
    assert.equal(config.auth.jwt.token_jwt_secret.reveal(), SECRET);
    assert.equal(config.metrics.prometheus.path, '/internal/metrics');
    assert.deepEqual(config.trusted_proxies, ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
    assert.deepEqual(config.policy, {
      require_authentication: true,
      published_protocols: ['http'],
      tls_min_version: 'tls1.3',
      post_quantum: 'require',
      trusted_ips: ['0.0.0.0/0', '2001:db8::/32'],
      geoip: ['FR', 'DE'],
      allow_any: true,
    });
    assert.equal(config.geoip.database, join(dir, 'countries.mmdb'));
    const [endpoint] = config.webhooks.endpoints ?? [];
    assert.deepEqual([endpoint?.name, endpoint?.events], ['operations', ['client.*', 'stream.failed']]);
    assert.ok(endpoint?.secret instanceof Secret);
    assert.deepEqual(config.admin, {
      enabled: true,
      listen_addr: '[::1]:9443',
      hosts: ['admin.example.com:443', '[2001:db8::1]:9443'],
      ca_cert_file: join(dir, 'ca/cert.pem'),
      ca_key_file: '/etc/rstream/ca-key.pem',
    });
  });

  test('freezes the result down to its lists', () => {
    const assertFrozen = (value: unknown, key: string): void => {
      // A Secret has no property that could change.
      if (typeof value !== 'object' || value === null || value instanceof Secret) return;
      assert.ok(Object.isFrozen(value), `${key} is not frozen`);
      for (const [name, child] of Object.entries(value)) assertFrozen(child, `${key}.${name}`);
    };
    assertFrozen(loadConfig({ path: fixture('valid/every-setting.yaml'), env: {} }).config, 'config');
  });

  test('says that there is no file', () => {
    for (const path of [fixture('none.yaml'), join(MINIMAL, 'below-a-file')])
      assert.throws(
        () => loadConfig({ path, env: {} }),
        (error) =>
          error instanceof EngineError && error.code === 'CONFIG_NOT_FOUND' && error.message.includes(path),
      );
  });

  test('says why a file cannot be read', () => {
    assert.equal(
      faultsOf(() => loadConfig({ path: fixtures, env: {} })),
      `${fixtures} cannot be read (EISDIR)`,
    );
  });

  test('reads no file beyond its limit', (t) => {
    const line = '# comment\n';
    const atLimit = readFileSync(MINIMAL, 'utf8').padEnd(LIMITS.configBytesMax, line);
    loadConfig({ path: temporaryFile(t, atLimit), env: {} });
    const path = temporaryFile(t, `${atLimit}#`);
    assert.equal(
      faultsOf(() => loadConfig({ path, env: {} })),
      `${path} is larger than 1048576 bytes`,
    );
    assert.match(
      faultsOf(() => loadConfig({ path: '/dev/zero', env: {} })),
      /is larger than/,
    );
  });

  test('warns of a secret that everybody can read, not of one from the environment', (t) => {
    const text = readFileSync(MINIMAL, 'utf8');
    const withSecret = `${text}auth:\n  jwt:\n    token_jwt_secret: ${SECRET}\n`;
    const warningsOf = (content: string, mode: number, env = {}) =>
      loadConfig({ path: temporaryFile(t, content, mode), env }).warnings;
    assert.deepEqual(warningsOf(withSecret, 0o600), []);
    assert.deepEqual(warningsOf(withSecret, 0o640), []);
    assert.deepEqual(warningsOf(text, 0o644, { RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET: SECRET }), []);
    const [warning, ...more] = warningsOf(withSecret, 0o644);
    assert.match(warning!, /holds a secret and every user of this machine can read it: chmod 600/);
    assert.doesNotMatch(warning!, /0123456789abcdef/);
    assert.deepEqual(more, []);
  });
});

describe('the environment', () => {
  const load = (env: Record<string, string | undefined>) => loadConfig({ path: MINIMAL, env });

  test('wins over the file, in the type of the setting', () => {
    const { config, dir } = load({
      RSTREAM_ENGINE_ENGINE__HOST: 'OTHER.example.com',
      RSTREAM_ENGINE_HTTP__ENABLED: 'true',
      RSTREAM_ENGINE_LIMITS__CONNECTIONS: '7',
      RSTREAM_ENGINE_TRUSTED_PROXIES: ' 10.0.0.0/8, 192.0.2.7,',
      RSTREAM_ENGINE_CERTS__STATIC__CERT_FILE: 'other.pem',
      RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET: '1'.repeat(32),
    });
    assert.equal(config.engine.host, 'other.example.com');
    assert.equal(config.http.enabled, true);
    assert.equal(config.limits.connections, 7);
    assert.deepEqual(config.trusted_proxies, ['10.0.0.0/8', '192.0.2.7']);
    assert.equal(config.certs.static.cert_file, join(dir, 'other.pem'));
    assert.equal(config.auth.jwt.token_jwt_secret?.reveal(), '1'.repeat(32));
  });

  test('supplies what the file leaves out', (t) => {
    const { config } = loadConfig({
      path: temporaryFile(t, ''),
      env: {
        RSTREAM_ENGINE_ENGINE__HOST: 'localhost',
        RSTREAM_ENGINE_CERTS__STATIC__CERT_FILE: '/c.pem',
        RSTREAM_ENGINE_CERTS__STATIC__KEY_FILE: '/k.pem',
      },
    });
    assert.equal(config.engine.host, 'localhost');
  });

  test('empties a list', (t) => {
    const path = temporaryFile(t, `${readFileSync(MINIMAL, 'utf8')}trusted_proxies: [10.0.0.0/8]\n`);
    const { config } = loadConfig({ path, env: { RSTREAM_ENGINE_TRUSTED_PROXIES: '' } });
    assert.deepEqual(config.trusted_proxies, []);
  });

  test('is left alone where its names belong to clients, to Kubernetes, or to nobody', () => {
    const { config, warnings } = load({
      RSTREAM_ENGINE: 'edge.example.com:443',
      RSTREAM_ENGINE_ADDRESS: 'edge.example.com:443',
      RSTREAM_ENGINE_HOSTNAME: 'www',
      RSTREAM_ENGINE_CONFIG: '/etc/rstream/config.yaml',
      RSTREAM_ENGINE_SERVICE_HOST: '10.0.0.1',
      RSTREAM_ENGINE_PORT_443_TCP_ADDR: '10.0.0.1',
      RSTREAM_ENGINE_ENGINE__HOST: undefined,
      RSTREAM_TLS__LISTEN_ADDR: 'x',
    });
    assert.deepEqual(warnings, []);
    assert.deepEqual(config, load({}).config);
  });

  test('warns of a single underscore where two were meant', () => {
    assert.deepEqual(load({ RSTREAM_ENGINE_TLS_LISTEN_ADDR: ':1' }).warnings, [
      'RSTREAM_ENGINE_TLS_LISTEN_ADDR is ignored; the setting is called RSTREAM_ENGINE_TLS__LISTEN_ADDR',
    ]);
  });

  test('has its slips refused, all at once, each by its name and without its value', () => {
    const faults = faultsOf(() =>
      load({
        RSTREAM_ENGINE_TSL__LISTEN_ADDR: ':1',
        RSTREAM_ENGINE_NOTHING__OF_OURS: '1',
        RSTREAM_ENGINE__HOST: 'x',
        RSTREAM_ENGINE_AUTH__JWT: '{}',
        RSTREAM_ENGINE_HTTP__ENABLED: 'yes',
        RSTREAM_ENGINE_LIMITS__CONNECTIONS: '1e3',
        RSTREAM_ENGINE_TIMEOUTS__DRAIN_SECONDS: '-1',
        RSTREAM_ENGINE_TRUSTED_PROXIES: '10.0.0.0/8,hunter2',
        RSTREAM_ENGINE_CERTS__STATIC__KEY_FILE: '',
        RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET: 'hunter2',
      }),
    );
    assert.deepEqual(faults.split('\n'), [
      'http.enabled (RSTREAM_ENGINE_HTTP__ENABLED): must be true or false',
      'certs.static.key_file (RSTREAM_ENGINE_CERTS__STATIC__KEY_FILE): must be a text that is not empty; numbers need quotes',
      'auth.jwt.token_jwt_secret (RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET): must be at least 32 bytes long',
      'timeouts.drain_seconds (RSTREAM_ENGINE_TIMEOUTS__DRAIN_SECONDS): must be a whole number from 0 to 3600',
      'limits.connections (RSTREAM_ENGINE_LIMITS__CONNECTIONS): must be a whole number from 1 to 1000000',
      'trusted_proxies.1 (RSTREAM_ENGINE_TRUSTED_PROXIES): must be an IP address or a CIDR range',
      'RSTREAM_ENGINE_TSL__LISTEN_ADDR: there is no such setting; did you mean RSTREAM_ENGINE_TLS__LISTEN_ADDR?',
      'RSTREAM_ENGINE_NOTHING__OF_OURS: there is no such setting',
      'RSTREAM_ENGINE__HOST: there is no such setting',
      'RSTREAM_ENGINE_AUTH__JWT: there is no such setting',
    ]);
  });
});

describe('configFromObject', () => {
  const settings = {
    engine: { host: 'localhost' },
    certs: { static: { cert_file: 'cert.pem', key_file: '/k.pem' } },
  };

  test('applies the same rules and leaves its argument as it was', () => {
    const before = structuredClone(settings);
    const config = configFromObject(settings, { dir: '/srv' });
    assert.equal(config.certs.static.cert_file, '/srv/cert.pem');
    assert.equal(config.store.path, '/srv/engine.db');
    assert.deepEqual(settings, before);
    assert.match(
      faultsOf(() => configFromObject({ ...settings, tsl: {} }, { dir: '/' })),
      /^tsl: there is no such setting; did you mean tls\?$/,
    );
  });

  test('says what an entry of a list must have, once for each fault', () => {
    const additional = [
      { cert_file: 'a.pem' },
      'b.pem',
      { cert_file: 'c.pem', key_file: '', ca_file: 'd.pem' },
    ];
    const certs = { static: { ...settings.certs.static, additional } };
    const sentence = 'certs.static.additional must be a list of entries with cert_file and key_file';
    assert.deepEqual(faultsOf(() => configFromObject({ ...settings, certs }, { dir: '/srv' })).split('\n'), [
      `certs.static.additional.0.key_file: ${sentence}`,
      `certs.static.additional.1: ${sentence}`,
      `certs.static.additional.2.key_file: ${sentence}`,
      'certs.static.additional.2.ca_file: there is no such setting',
    ]);
  });

  test('has no variable for a list of entries', () => {
    const env = { RSTREAM_ENGINE_CERTS__STATIC__ADDITIONAL: 'cert.pem:key.pem' };
    assert.match(
      faultsOf(() => configFromObject(settings, { dir: '/srv', env })),
      /^RSTREAM_ENGINE_CERTS__STATIC__ADDITIONAL: there is no such setting/,
    );
  });

  test('takes an environment when it is given one', () => {
    const env = { RSTREAM_ENGINE_TLS__LISTEN_ADDR: '127.0.0.1:0' };
    assert.equal(configFromObject(settings, { dir: '/', env }).tls.listen_addr, '127.0.0.1:0');
  });
});

describe('describeConfig', () => {
  test('prints YAML that loads again, but for the masked secrets', (t) => {
    const { config } = loadConfig({ path: fixture('valid/every-setting.yaml'), env: {} });
    const text = describeConfig(config);
    assert.doesNotMatch(text, /0123456789abcdef|scrape-me/);
    assert.match(text, /token_jwt_secret: "\*\*\*"\n/);
    // A secret in a list of sections has no variable.
    const path = temporaryFile(t, text.replace(/^( +secret:) "\*\*\*"$/m, `$1 whsec_${SECRET}`));
    const env = {
      RSTREAM_ENGINE_AUTH__JWT__TOKEN_JWT_SECRET: SECRET,
      RSTREAM_ENGINE_STORE__SIGNING_KEY: SECRET,
    };
    const again = loadConfig({ path, env }).config;
    assert.equal(describeConfig(again), text);
  });
});

describe('configPathFrom', () => {
  test('prefers the flag, then the environment, then the working directory', () => {
    const env = { RSTREAM_ENGINE_CONFIG: '/etc/engine.yaml' };
    assert.equal(configPathFrom({ flag: './mine.yaml', env }), './mine.yaml');
    assert.equal(configPathFrom({ env }), '/etc/engine.yaml');
    assert.equal(configPathFrom({ env: { RSTREAM_ENGINE_CONFIG: '' } }), 'config.yaml');
  });
});
