/** In which order a downstream is judged: nobody's proof is looked at whom another rule denies. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EngineError, fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import type { Principal } from '../../src/base/principal.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { createAdmission } from '../../src/edge/admission.ts';
import type { EdgeConnection } from '../../src/edge/connection.ts';
import { createPolicies } from '../../src/edge/policies.ts';
import { requestFrom } from '../../src/edge/request.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';

const HOST = 'web.t.localhost';
const GOOD = 'good';
const SOMEBODY: Principal = { credentialId: 'crd_1', kind: 'pat', permissions: null };
const HOME: EdgeConnection = {
  remoteAddress: '192.0.2.1',
  remotePort: 50_000,
  serverName: HOST,
  tlsVersion: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
};

/** One tunnel, and a book of the proofs that were looked at. */
const setUp = (properties: TunnelProperties, countries: Readonly<Record<string, string>> = {}) => {
  const looked: string[] = [];
  const registry = createRegistry(
    { clock: createFakeClock(), admit: (wanted) => policies.admit(wanted) },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const policies = createPolicies(
    { registry, countryOf: (address) => countries[address] },
    { ...OPEN_RULES, hasGeoipDatabase: true },
  );
  const admit = createAdmission({
    policies,
    proofs: {
      knownToken: (token) => {
        looked.push(token);
        return token === GOOD ? SOMEBODY : undefined;
      },
      verifyToken: async (token) => {
        looked.push(`verify ${token}`);
        throw fail('TOKEN_INVALID', { reason: 'unknown' });
      },
      verifyCertificate: (fingerprint) => {
        looked.push(fingerprint);
        if (fingerprint !== GOOD) throw fail('CLIENT_CERTIFICATE_UNKNOWN');
        return { ...SOMEBODY, kind: 'certificate' };
      },
    },
  });
  const owner = { agentId: newAgentId(), credentialId: 'crd_1' };
  const tunnel = registry.open(owner, { hostname: 'web', ...properties });
  const ask = async (connection: Partial<EdgeConnection>, token?: string) => {
    const headers = ['Host', HOST, ...(token === undefined ? [] : ['Authorization', `Bearer ${token}`])];
    const head = { method: 'GET', target: '/', minorVersion: 1 as const, headers };
    const admission = await admit(tunnel, { ...HOME, ...connection }, requestFrom(head, HOST));
    return admission instanceof EngineError ? admission.code : admission.principal?.kind;
  };
  return { ask, looked };
};

/** A rule that is judged before authentication, and a connection that it denies. */
const RULES: [name: string, TunnelProperties, denied: Partial<EdgeConnection>, code: string][] = [
  ['address', { trustedIps: ['192.0.2.0/24'] }, { remoteAddress: '198.51.100.1' }, 'ADDRESS_FORBIDDEN'],
  ['country', { geoip: ['FR'] }, { remoteAddress: '198.51.100.1' }, 'COUNTRY_FORBIDDEN'],
  ['TLS', { tlsMinVersion: 'tls1.3' }, { tlsVersion: 'TLSv1.2' }, 'TLS_FORBIDDEN'],
];

describe('who is denied by', () => {
  for (const [name, properties, denied, code] of RULES) {
    const start = (methods: TunnelProperties) =>
      setUp({ ...properties, ...methods }, { [HOME.remoteAddress]: 'FR' });

    test(`${name} learns nothing of a token, good or bad, and makes nobody look at it`, async () => {
      const { ask, looked } = start({ tokenAuth: true });
      for (const token of [undefined, GOOD, 'bad']) assert.equal(await ask(denied, token), code);
      assert.deepEqual(looked, []);
      assert.equal(await ask({}, GOOD), 'pat');
      assert.equal(await ask({}, 'bad'), 'TOKEN_INVALID');
      assert.deepEqual(looked, [GOOD, 'bad', 'verify bad']);
    });

    test(`${name} learns nothing of a certificate, nor of two proofs`, async () => {
      const { ask, looked } = start({ tokenAuth: true, mtlsAuth: true });
      for (const certificateFingerprint of [GOOD, 'bad'])
        for (const token of [undefined, GOOD])
          assert.equal(await ask({ ...denied, certificateFingerprint }, token), code);
      assert.deepEqual(looked, []);
      assert.equal(await ask({ certificateFingerprint: GOOD }), 'certificate');
      assert.equal(await ask({ certificateFingerprint: 'bad' }), 'CLIENT_CERTIFICATE_UNKNOWN');
      assert.equal(await ask({ certificateFingerprint: GOOD }, GOOD), 'AMBIGUOUS_PROOF');
      assert.deepEqual(looked, [GOOD, 'bad']);
    });

    test(`${name} over the connection of another host is sent to one of its own, with or without a proof`, async () => {
      const { ask, looked } = start({ tokenAuth: true, mtlsAuth: true });
      for (const token of [undefined, GOOD])
        assert.equal(await ask({ ...denied, serverName: 'other.t.localhost' }, token), 'MISDIRECTED_REQUEST');
      assert.deepEqual(looked, []);
    });
  }
});
