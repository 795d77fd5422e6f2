/** A connection that is over, under two sets of rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineRules } from '../../src/policy/engine-rules.ts';
import { createReplay, type PastConnection } from '../../src/policy/replay.ts';
import { OPEN_RULES } from '../support/engine-rules.ts';

const TUNNEL = { publish: true, protocol: 'http' };
const past = (overrides: Partial<PastConnection> = {}): PastConnection => ({
  facts: { remoteAddress: '192.0.2.1', tlsVersion: 'TLSv1.2', isPostQuantum: false },
  wasAllowed: true,
  hadProof: false,
  ...overrides,
});
const replay = (before: Partial<EngineRules>, after: Partial<EngineRules>, properties = {}) =>
  createReplay({ ...TUNNEL, ...properties }, undefined, {
    before: { ...OPEN_RULES, ...before },
    after: { ...OPEN_RULES, ...after },
  });
const AWAY = { trustedIps: ['198.51.100.0/24'] };

test('who was let in and is denied by the draft alone is cut off, with the reason', () => {
  assert.deepEqual(replay({}, AWAY)(past()), { kind: 'cut-off', code: 'ADDRESS_FORBIDDEN' });
  assert.deepEqual(replay({}, { tlsVersionMin: 'TLSv1.3' })(past()), {
    kind: 'cut-off',
    code: 'TLS_FORBIDDEN',
  });
  assert.deepEqual(replay({}, { requiresAuthentication: true })(past()), {
    kind: 'cut-off',
    code: 'TUNNEL_FORBIDDEN',
  });
  assert.equal(replay(AWAY, AWAY)(past()), undefined);
});

test('who was denied and is denied by the present rules alone is admitted', () => {
  const denied = past({ wasAllowed: false });
  assert.deepEqual(replay(AWAY, {})(denied), { kind: 'admitted' });
  // Something else had denied it.
  assert.equal(replay({}, {})(denied), undefined);
  assert.equal(replay({}, AWAY)(denied), undefined);
  assert.equal(replay(AWAY, {}, AWAY)(denied), undefined, 'the tunnel still denies it');
});

test('a proof that was shown counts again, by the method of the tunnel', () => {
  for (const method of [{ tokenAuth: true }, { mtlsAuth: true }]) {
    const judge = replay({}, { requiresAuthentication: true }, method);
    assert.equal(judge(past({ hadProof: true })), undefined);
  }
});

test('a country that is not known is in no list', () => {
  const judge = replay({}, { geoip: ['FR'], hasGeoipDatabase: true });
  assert.deepEqual(judge(past()), { kind: 'cut-off', code: 'COUNTRY_FORBIDDEN' });
  assert.equal(judge(past({ facts: { ...past().facts, country: 'FR' } })), undefined);
});
