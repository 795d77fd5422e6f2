/** Records for tests: a request that went well, unless the test says otherwise. */
import type { AgentId, TunnelId } from '../../src/base/ids.ts';
import type { RecordedRequest, TrafficRecord } from '../../src/base/record.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';

export const tunnelOf = (properties: TunnelProperties = {}) => ({
  id: 'tun_1' as TunnelId,
  agentId: 'cli_1' as AgentId,
  credentialId: 'crd_1',
  properties: { protocol: 'http', hostname: 'web.t.localhost', name: 'web', publish: true, ...properties },
});

export const requestOf = (overrides: Partial<RecordedRequest> = {}): RecordedRequest => ({
  protocol: 'h2',
  method: 'GET',
  target: '/path',
  authority: 'web.t.localhost:8443',
  headers: ['accept', '*/*'],
  ...overrides,
});

export const exchangeOf = (overrides: Partial<TrafficRecord> = {}): TrafficRecord => ({
  kind: 'exchange',
  connection: {
    remoteAddress: '192.0.2.1',
    remotePort: 1_024,
    serverName: 'web.t.localhost',
    alpnProtocol: 'h2',
    tlsVersion: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    isPostQuantum: false,
    offeredGroups: 'x25519 secp256r1',
    ja4: 't13d',
  },
  tunnel: tunnelOf(),
  request: requestOf(),
  status: 200,
  durationMs: 12.34,
  waitMs: 1.26,
  firstByteMs: 10,
  bytesUp: 3,
  bytesDown: 5,
  endedBy: 'upstream',
  isBroken: false,
  ...overrides,
});
