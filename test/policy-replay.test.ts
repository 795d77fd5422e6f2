/** The dry run over records: which of them are somebody's whom other rules would treat otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replayRecords } from '../src/policy-replay.ts';
import type { FoundRecord } from '../src/store/record-row.ts';
import { OPEN_RULES } from './support/engine-rules.ts';

/** Of a request that was let in. */
const EXCHANGE = {
  kind: 'exchange',
  at: 1_000,
  tunnel_id: 'tun_1',
  tunnel_name: 'site',
  host: 'web.t.localhost',
  address: '192.0.2.1',
  country: null,
  tls_version: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  post_quantum: 0,
  server_name: 'web.t.localhost',
  decision: 'allowed',
  dialer_credential_id: null,
};

const cutOffAmong = async (...records: Partial<Record<keyof typeof EXCHANGE, unknown>>[]) => {
  const report = await replayRecords(
    {
      recordsSearch: {
        async *strides() {
          yield records.map((record) => ({ ...EXCHANGE, ...record }) as unknown as FoundRecord);
        },
      },
      nowMs: 2_000,
      openTunnels: [],
      countryOf: () => undefined,
      isWanted: () => true,
    },
    { before: OPEN_RULES, after: { ...OPEN_RULES, trustedIps: ['198.51.100.0/24'] } },
  );
  return report.cutOff.count;
};

test('what came to published tunnels is judged', async () => {
  const raw = { kind: 'stream', tls_version: null };
  assert.equal(await cutOffAmong({}, raw, { ...raw, server_name: null }), 3);
  assert.equal(await cutOffAmong({ address: '198.51.100.7' }, { decision: 'denied' }), 0);
});

test('private streams, what an admin has sent again, and what found no tunnel are not', async () => {
  assert.equal(
    await cutOffAmong(
      { kind: 'private-stream' },
      { kind: 'exchange', tls_version: null },
      { kind: 'replay', tls_version: null },
      { tunnel_id: null },
    ),
    0,
  );
});
