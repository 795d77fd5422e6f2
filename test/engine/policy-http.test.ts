/** Rules by address, country and TLS on published HTTP tunnels: who is answered, who is refused, and with what. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { hasPostQuantum } from '../../src/socket/post-quantum.ts';
import { fetchThrough } from '../support/downstream.ts';
import { startEngine, startHttpUpstream, type TestEngine } from '../support/engine.ts';
import { inCountry, mmdbFrom } from '../support/mmdb.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { HOSTNAME } from './http-upstream.ts';
import { ask, connectHttp2 } from './http2-sides.ts';

type Settings = Readonly<Record<string, unknown>>;

/** An upstream that counts its requests, published as HOSTNAME. */
const startPublished = async (t: TestContext, properties: TunnelProperties, settings: Settings = {}) => {
  let requestCount = 0;
  const upstream = await startHttpUpstream(t, (_request, response) => {
    requestCount += 1;
    response.end('hello');
  });
  const engine = await startEngine(t, { settings });
  const { reply } = await engine.publish(upstream, { hostname: 'web', ...properties });
  return { engine, upstream, reply, requestCount: () => requestCount };
};

const codeOf = async (engine: TestEngine, hostname = HOSTNAME): Promise<readonly [number, unknown]> => {
  const { status, headers } = await fetchThrough(engine, hostname, '/');
  return [status, headers['rstream-error']];
};

const databaseOf = (t: TestContext, records: Parameters<typeof mmdbFrom>[0]): Settings => {
  const path = join(makeTemporaryDirectory(t), 'countries.mmdb');
  writeFileSync(path, mmdbFrom(records));
  return { database: path };
};

const LOOPBACK = ['127.0.0.0/8', '::1'];
const ELSEWHERE = ['192.0.2.0/24'];

describe('a tunnel with trusted IPs', () => {
  test('answers those, and tells its agent what it understood', async (t) => {
    const { engine, reply } = await startPublished(t, {
      trustedIps: ['::ffff:127.0.0.0/104', '::1', '::1/128'],
    });
    assert.deepEqual(reply.trustedIps, LOOPBACK);
    assert.deepEqual(await codeOf(engine), [200, undefined]);
  });

  test('refuses others with 403 and a code, tells them nothing of its rules, and asks no agent', async (t) => {
    const { engine, requestCount } = await startPublished(t, { trustedIps: ELSEWHERE });
    const { status, headers, body } = await fetchThrough(engine, HOSTNAME, '/');
    assert.deepEqual([status, headers['rstream-error']], [403, 'ADDRESS_FORBIDDEN']);
    assert.doesNotMatch(body, /192\.0\.2|trusted_ips|127\.0\.0/);
    assert.equal(requestCount(), 0);
    assert.equal(engine.engine.counts().dials, 0);
    const [line] = engine.log.withCode('ADDRESS_FORBIDDEN');
    assert.equal(line?.fields.status, 403);
    assert.match(String(line?.fields.remote), /^127\.0\.0\.1:\d+$/);
    assert.equal(line?.fields.errorId, JSON.parse(body).error_id);
  });

  test('refuses on, request after request, on one connection of either version', async (t) => {
    const { engine } = await startPublished(t, { trustedIps: ELSEWHERE });
    const session = await connectHttp2(t, engine);
    for (const _turn of [1, 2]) {
      const { status, headers } = await ask(session);
      assert.deepEqual([status, headers['rstream-error']], [403, 'ADDRESS_FORBIDDEN']);
      assert.deepEqual(await codeOf(engine), [403, 'ADDRESS_FORBIDDEN']);
    }
  });

  test('sends a request that came over HTTP/1.1 and the connection of another host to one of its own', async (t) => {
    const { engine, upstream } = await startPublished(t, { trustedIps: ELSEWHERE });
    await engine.publish(upstream, { hostname: 'open' });
    const { status, headers } = await fetchThrough(engine, 'open.t.localhost', '/', {
      headers: { host: HOSTNAME },
    });
    assert.deepEqual([status, headers['rstream-error']], [421, 'MISDIRECTED_REQUEST']);
  });

  test('sends a request that came over the connection of another host to one of its own', async (t) => {
    const { engine, upstream } = await startPublished(t, { trustedIps: ELSEWHERE });
    await engine.publish(upstream, { hostname: 'open' });
    const session = await connectHttp2(t, engine, 'open.t.localhost');
    const statusOf = async (authority: string) => {
      const { status, headers } = await ask(session, { ':authority': authority });
      return [status, headers['rstream-error']];
    };
    assert.deepEqual(await statusOf('open.t.localhost'), [200, undefined]);
    assert.deepEqual(await statusOf(HOSTNAME), [421, 'MISDIRECTED_REQUEST']);
    assert.deepEqual(await statusOf(HOSTNAME.toUpperCase()), [421, 'MISDIRECTED_REQUEST']);
    // Written otherwise, it is still the host of the connection.
    const own = await ask(await connectHttp2(t, engine), { ':authority': `${HOSTNAME.toUpperCase()}:443` });
    assert.equal(own.status, 403);
  });
});

describe('a tunnel with countries', () => {
  test('answers those whose address is in one of them', async (t) => {
    const geoip = databaseOf(t, { '127.0.0.0/8': inCountry('FR') });
    const { engine, reply } = await startPublished(t, { geoip: ['de', 'fr', 'FR'] }, { geoip });
    assert.deepEqual(reply.geoip, ['DE', 'FR']);
    assert.deepEqual(await codeOf(engine), [200, undefined]);
  });

  test('refuses others, and those of whom no country is known', async (t) => {
    const geoip = databaseOf(t, { '127.0.0.0/8': inCountry('FR') });
    const { engine, requestCount } = await startPublished(t, { geoip: ['DE'] }, { geoip });
    assert.deepEqual(await codeOf(engine), [403, 'COUNTRY_FORBIDDEN']);
    assert.equal(requestCount(), 0);

    const unknown = databaseOf(t, { '192.0.2.0/24': inCountry('FR') });
    const other = await startPublished(t, { geoip: ['FR'] }, { geoip: unknown });
    assert.deepEqual(await codeOf(other.engine), [403, 'COUNTRY_FORBIDDEN']);
  });

  test('needs a database that can be used: an engine without it does not start', async (t) => {
    const settings = { geoip: { database: join(makeTemporaryDirectory(t), 'missing.mmdb') } };
    await assert.rejects(startEngine(t, { settings }), { code: 'GEOIP_DATABASE_INVALID', message: /ENOENT/ });
  });

  test('tells of the address first', async (t) => {
    const geoip = databaseOf(t, { '127.0.0.0/8': inCountry('FR') });
    const { engine } = await startPublished(t, { geoip: ['DE'], trustedIps: ELSEWHERE }, { geoip });
    assert.deepEqual(await codeOf(engine), [403, 'ADDRESS_FORBIDDEN']);
  });
});

describe('a rule of the operator', () => {
  const policyOf = (t: TestContext, policy: Settings): Settings => ({
    policy,
    geoip: databaseOf(t, { '127.0.0.0/8': inCountry('FR') }),
  });
  const CASES: [
    name: string,
    policy: Settings,
    asked: TunnelProperties,
    answer: readonly [number, unknown],
  ][] = [
    ['by address binds all tunnels', { trusted_ips: ELSEWHERE }, {}, [403, 'ADDRESS_FORBIDDEN']],
    [
      'by address is not lifted by what a tunnel asks for',
      { trusted_ips: ELSEWHERE },
      { trustedIps: LOOPBACK },
      [403, 'ADDRESS_FORBIDDEN'],
    ],
    [
      'by address does not lift what a tunnel asks for',
      { trusted_ips: LOOPBACK },
      { trustedIps: ELSEWHERE },
      [403, 'ADDRESS_FORBIDDEN'],
    ],
    [
      'by address lets in who meets both',
      { trusted_ips: LOOPBACK },
      { trustedIps: LOOPBACK },
      [200, undefined],
    ],
    ['by country binds all tunnels', { geoip: ['DE'] }, {}, [403, 'COUNTRY_FORBIDDEN']],
    ['by country lets in who meets both', { geoip: ['fr'] }, { geoip: ['FR', 'DE'] }, [200, undefined]],
    ['by TLS version lets in who meets it', { tls_min_version: 'tls1.3' }, {}, [200, undefined]],
    [
      'about every address has to be meant',
      { allow_any: true },
      { trustedIps: ['0.0.0.0/0'] },
      [200, undefined],
    ],
  ];
  for (const [name, policy, asked, answer] of CASES)
    test(name, async (t) => {
      const { engine } = await startPublished(t, asked, policyOf(t, policy));
      assert.deepEqual(await codeOf(engine), answer);
    });

  test('by TLS version refuses an older one', async (t) => {
    const { engine } = await startPublished(t, {}, policyOf(t, { tls_min_version: 'tls1.3' }));
    const tls12 = { maxVersion: 'TLSv1.2' } as object;
    await assert.rejects(fetchThrough(engine, HOSTNAME, '/', tls12), /alert protocol version/);
    assert.deepEqual(await codeOf(engine), [200, undefined]);
  });

  test('about post-quantum keys is kept where the runtime can, and refuses to start elsewhere', async (t) => {
    const starting = startPublished(t, {}, policyOf(t, { post_quantum: 'require' }));
    if (!hasPostQuantum()) return assert.rejects(starting, { code: 'POST_QUANTUM_UNAVAILABLE' });
    const { engine } = await starting;
    assert.deepEqual(await codeOf(engine), [200, undefined]);
    const classic = { ecdhCurve: 'X25519' } as object;
    await assert.rejects(fetchThrough(engine, HOSTNAME, '/', classic), /alert insufficient security/);
  });
});
