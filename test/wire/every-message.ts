/** One message of every kind with every field set, and the forms that are easily lost: unset, empty and largest values. */
import type { Message, MessageKind } from '../../src/wire/message.ts';

const details = {
  agent: 'fake',
  channel: 'sdk',
  version: '1.2.3',
  os: 'linux',
  arch: 'x64',
  token: 'secret',
  protocolVersion: '1.4.5',
};

const properties = {
  id: 'tun_1',
  creationDate: 1_800_000_000_123,
  name: 'hello',
  type: 'bytestream',
  publish: true,
  protocol: 'http',
  labels: { 'a.b/c': 'd', empty: '' },
  geoip: ['DE', 'FR'],
  trustedIps: ['192.0.2.0/24'],
  host: 'hello.t.localhost:8443',
  tlsMode: 'terminated',
  tlsAlpns: ['h2', 'http/1.1'],
  tlsMinVersion: 'tls1.3',
  tlsCiphers: ['TLS_AES_128_GCM_SHA256'],
  mtlsAuth: false,
  mtlsCacertPem: 'pem',
  httpVersion: 'http/1.1',
  httpUseTls: false,
  tokenAuth: true,
  rstreamAuth: false,
  challengeMode: false,
  hostname: 'hello.t.localhost',
  port: 8443,
  upstreamTls: true,
  datagramGuaranteedDelivery: false,
  allowCrossRegionRouting: false,
};

const liveness = { heartbeatIntervalMs: 5_000, heartbeatTimeoutMs: 15_000 };
const error = { code: 8_000, message: 'Hostname is already in use.' };
const server = { agent: 'engine', channel: 'ce', version: '1', plan: 'ce', provider: 'self', region: 'here' };

export const EVERY_MESSAGE = {
  'open-channel': { kind: 'open-channel', details, liveness },
  'channel-opened': {
    kind: 'channel-opened',
    agentId: 'cli_1',
    server: { ...server, update: '2.0' },
    liveness,
  },
  'channel-refused': { kind: 'channel-refused', error },
  'close-channel': { kind: 'close-channel' },
  'channel-closed': { kind: 'channel-closed' },
  'open-tunnel': { kind: 'open-tunnel', requestId: 'r1', properties },
  'tunnel-opened': { kind: 'tunnel-opened', requestId: 'r1', properties },
  'tunnel-refused': { kind: 'tunnel-refused', requestId: 'r1', error },
  'close-tunnel': { kind: 'close-tunnel', tunnelId: 'tun_1' },
  'tunnel-closed': { kind: 'tunnel-closed', tunnelId: 'tun_1' },
  'dial-request': {
    kind: 'dial-request',
    tunnelId: 'tun_1',
    streamId: '0123456789abcdef01234567',
    secret: 's',
    sourceIp: Uint8Array.of(192, 0, 2, 10),
    endpoint: 'other:443',
  },
  'dial-result': { kind: 'dial-result', streamId: 's1', error },
  'dial-back': { kind: 'dial-back', details, streamId: 's1', zeroRtt: true },
  'dial-back-result': { kind: 'dial-back-result', error },
  'private-dial': { kind: 'private-dial', details, target: 'hello', zeroRtt: true, datagramChannel: true },
  'private-dial-accepted': { kind: 'private-dial-accepted', streamId: 's1' },
  'private-dial-refused': { kind: 'private-dial-refused', error },
  'datagram-channel-close': { kind: 'datagram-channel-close', streamId: 's1', error },
  heartbeat: { kind: 'heartbeat', sequence: 2n ** 64n - 1n, acknowledgement: 7n },
  'server-message': { kind: 'server-message', text: 'näher' },
  unknown: { kind: 'unknown' },
} satisfies { [Kind in MessageKind]: Extract<Message, { kind: Kind }> };

export const EDGE_MESSAGES: Message[] = [
  { kind: 'open-channel', details: {} },
  { kind: 'open-channel', details: { token: '' } },
  { kind: 'channel-opened', agentId: '', server: {} },
  { kind: 'channel-refused', error: { code: 0 } },
  { kind: 'channel-refused', error: { code: 123_456, message: '' } },
  { kind: 'open-tunnel', requestId: '', properties: {} },
  { kind: 'open-tunnel', requestId: '', properties: { publish: false, port: 0, name: '' } },
  { kind: 'tunnel-opened', requestId: '', properties: { creationDate: 0 } },
  { kind: 'dial-request', tunnelId: '', streamId: '' },
  {
    kind: 'dial-request',
    tunnelId: '',
    streamId: '',
    sourceIp: Uint8Array.from({ length: 16 }, (_, at) => 255 - at),
  },
  { kind: 'dial-request', tunnelId: '', streamId: '', sourceIp: Uint8Array.of(0, 0, 0, 0) },
  { kind: 'dial-result', streamId: 's1' },
  { kind: 'dial-back', details: {}, streamId: '', zeroRtt: false },
  { kind: 'dial-back-result' },
  { kind: 'private-dial', details: {}, target: '', zeroRtt: false, datagramChannel: false },
  { kind: 'datagram-channel-close', streamId: '' },
  { kind: 'heartbeat', sequence: 0n, acknowledgement: 0n },
];
