/**
 * The bytes of one frame to a message and back: the only file that knows the protobuf runtime and the public protocol's names.
 *
 * Invariant: bytes that cannot be decoded are FRAME_MALFORMED, whatever the runtime threw; fields that we do not know, from a newer
 * protocol, are dropped.
 */
import { strict as assert } from 'node:assert';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { fail } from '../base/errors.ts';
import type { TunnelProperties } from '../base/tunnel-properties.ts';
import type { Message, MessageKind, WireError } from './message.ts';
import type * as Wire from './protocol.gen.ts';
import { MessageSchema } from './protocol.gen.ts';

/** The protobuf form of a message: the body of a frame. */
export const encodeMessage = (message: Message): Uint8Array => {
  // The table ties each kind to its own message; TypeScript cannot see that through one index.
  const encode = ENCODERS[message.kind] as (message: Message) => PayloadInit;
  return toBinary(MessageSchema, create(MessageSchema, { payload: encode(message) }));
};

/** The message in the body of a frame. Throws FRAME_MALFORMED when there is none. */
export const decodeMessage = (body: Uint8Array): Message => {
  try {
    const { payload } = fromBinary(MessageSchema, body);
    if (payload.case === undefined) return { kind: 'unknown' };
    const decode = DECODERS[payload.case] as (value: Payload['value']) => Message;
    return decode(payload.value);
  } catch (cause) {
    throw fail('FRAME_MALFORMED', {}, cause);
  }
};

type MessageOf<Kind extends MessageKind> = Extract<Message, { kind: Kind }>;
type Payload = Exclude<Wire.Message['payload'], { case: undefined }>;
type PayloadInit = NonNullable<MessageInitShape<typeof MessageSchema>['payload']>;

const ENCODERS: { [Kind in MessageKind]: (message: MessageOf<Kind>) => PayloadInit } = {
  'open-channel': ({ details, liveness }) => ({
    case: 'openControlChannelReq',
    value: { clientDetails: details, liveness },
  }),
  'channel-opened': ({ agentId, server, liveness }) => ({
    case: 'openControlChannelRsp',
    value: { result: { case: 'ok', value: { clientId: agentId, serverDetails: server, liveness } } },
  }),
  'channel-refused': ({ error }) => ({ case: 'openControlChannelRsp', value: { result: refusal(error) } }),
  'close-channel': () => ({ case: 'closeControlChannelReq', value: {} }),
  'channel-closed': () => ({ case: 'closeControlChannelRsp', value: {} }),
  'open-tunnel': ({ requestId, properties }) => ({
    case: 'openTunnelReq',
    value: { requestId, tunnelProperties: wireProperties(properties) },
  }),
  'tunnel-opened': ({ requestId, properties }) => ({
    case: 'openTunnelRsp',
    value: { requestId, result: { case: 'tunnelProperties', value: wireProperties(properties) } },
  }),
  'tunnel-refused': ({ requestId, error }) => ({
    case: 'openTunnelRsp',
    value: { requestId, result: refusal(error) },
  }),
  'close-tunnel': ({ tunnelId }) => ({ case: 'closeTunnelReq', value: { tunnelId } }),
  'tunnel-closed': ({ tunnelId }) => ({ case: 'closeTunnelRsp', value: { tunnelId } }),
  'dial-request': ({ tunnelId, streamId, secret, sourceIp, endpoint }) => ({
    case: 'proxyConnReq',
    value: {
      tunnelId,
      streamId,
      secret,
      sourceIp: sourceIp && wireAddress(sourceIp),
      proxyEndpoint: endpoint,
    },
  }),
  'dial-result': ({ streamId, error }) => ({
    case: 'proxyConnRsp',
    value: { streamId, error: error && wireError(error) },
  }),
  'dial-back': ({ details, streamId, zeroRtt }) => ({
    case: 'proxyReq',
    value: { clientDetails: details, streamId, zeroRtt },
  }),
  'dial-back-result': ({ error }) => ({ case: 'proxyRsp', value: { error: error && wireError(error) } }),
  'private-dial': ({ details, target, zeroRtt, datagramChannel }) => ({
    case: 'streamReq',
    value: { clientDetails: details, tunnelIdName: target, zeroRtt, datagramChannel },
  }),
  'private-dial-accepted': ({ streamId }) => ({
    case: 'streamRsp',
    value: { result: { case: 'streamId', value: streamId } },
  }),
  'private-dial-refused': ({ error }) => ({ case: 'streamRsp', value: { result: refusal(error) } }),
  'datagram-channel-close': ({ streamId, error }) => ({
    case: 'datagramChannelClose',
    value: { streamId, error: error && wireError(error) },
  }),
  heartbeat: ({ sequence, acknowledgement }) => ({ case: 'heartbeat', value: { sequence, acknowledgement } }),
  'server-message': ({ text }) => ({ case: 'serverMessage', value: { message: text } }),
  unknown: () => ({ case: undefined }),
};

const DECODERS: { [P in Payload as P['case']]: (value: P['value']) => Message } = {
  openControlChannelReq: ({ clientDetails, liveness }) => ({
    kind: 'open-channel',
    details: plain(clientDetails),
    ...(liveness && { liveness: plain(liveness) }),
  }),
  openControlChannelRsp: ({ result }) => {
    if (result.case === undefined) throw new Error('an answer without a result');
    if (result.case === 'error') return { kind: 'channel-refused', error: plain(result.value) };
    const { clientId, serverDetails, liveness } = result.value;
    return {
      kind: 'channel-opened',
      agentId: clientId,
      server: plain(serverDetails),
      ...(liveness && { liveness: plain(liveness) }),
    };
  },
  closeControlChannelReq: () => ({ kind: 'close-channel' }),
  closeControlChannelRsp: () => ({ kind: 'channel-closed' }),
  openTunnelReq: ({ requestId, tunnelProperties }) => ({
    kind: 'open-tunnel',
    requestId,
    properties: tunnelProperties ? propertiesFromWire(tunnelProperties) : {},
  }),
  openTunnelRsp: ({ requestId, result }) => {
    if (result.case === undefined) throw new Error('an answer without a result');
    if (result.case === 'error') return { kind: 'tunnel-refused', requestId, error: plain(result.value) };
    return { kind: 'tunnel-opened', requestId, properties: propertiesFromWire(result.value) };
  },
  closeTunnelReq: ({ tunnelId }) => ({ kind: 'close-tunnel', tunnelId }),
  closeTunnelRsp: ({ tunnelId }) => ({ kind: 'tunnel-closed', tunnelId }),
  proxyConnReq: ({ tunnelId, streamId, secret, sourceIp, proxyEndpoint }) => {
    const address = sourceIp && addressFromWire(sourceIp);
    return {
      kind: 'dial-request',
      tunnelId,
      streamId,
      ...(secret !== undefined && { secret }),
      ...(address && { sourceIp: address }),
      ...(proxyEndpoint !== undefined && { endpoint: proxyEndpoint }),
    };
  },
  proxyConnRsp: ({ streamId, error }) => ({
    kind: 'dial-result',
    streamId,
    ...(error && { error: plain(error) }),
  }),
  proxyReq: ({ clientDetails, streamId, zeroRtt }) => ({
    kind: 'dial-back',
    details: plain(clientDetails),
    streamId,
    zeroRtt: zeroRtt ?? false,
  }),
  proxyRsp: ({ error }) => ({ kind: 'dial-back-result', ...(error && { error: plain(error) }) }),
  streamReq: ({ clientDetails, tunnelIdName, zeroRtt, datagramChannel }) => ({
    kind: 'private-dial',
    details: plain(clientDetails),
    target: tunnelIdName,
    zeroRtt: zeroRtt ?? false,
    datagramChannel: datagramChannel ?? false,
  }),
  streamRsp: ({ result }) => {
    if (result.case === undefined) throw new Error('an answer without a result');
    if (result.case === 'error') return { kind: 'private-dial-refused', error: plain(result.value) };
    return { kind: 'private-dial-accepted', streamId: result.value };
  },
  heartbeat: ({ sequence, acknowledgement }) => ({ kind: 'heartbeat', sequence, acknowledgement }),
  serverMessage: ({ message }) => ({ kind: 'server-message', text: message }),
  datagramChannelClose: ({ streamId, error }) => ({
    kind: 'datagram-channel-close',
    streamId,
    ...(error && { error: plain(error) }),
  }),
};

type Plain<T> = { [Key in keyof T as Key extends `$${string}` ? never : Key]: Exclude<T[Key], undefined> };

/** The fields of a message that are set, without the runtime's own; an absent message has none. */
function plain<T extends object>(message: T): Plain<T>;
function plain<T extends object>(message: T | undefined): Partial<Plain<T>>;
function plain(message: object = {}): object {
  return Object.fromEntries(
    Object.entries(message).filter(([name, value]) => !name.startsWith('$') && value !== undefined),
  );
}

const wireError = (error: WireError) => ({ ...error, code: error.code as Wire.ErrorCode });

const refusal = (error: WireError) => ({ case: 'error' as const, value: wireError(error) });

const wireProperties = ({ creationDate, ...properties }: TunnelProperties) => ({
  ...properties,
  creationDate: creationDate === undefined ? undefined : timestampFromMs(creationDate),
});

const propertiesFromWire = (wire: Wire.TunnelProperties): TunnelProperties => {
  const { creationDate, labels, geoip, trustedIps, tlsAlpns, tlsCiphers, ...properties } = plain(wire);
  return {
    ...properties,
    ...(creationDate && { creationDate: timeFromWire(creationDate) }),
    // The wire cannot tell an empty list from an unset one.
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(geoip.length > 0 && { geoip }),
    ...(trustedIps.length > 0 && { trustedIps }),
    ...(tlsAlpns.length > 0 && { tlsAlpns }),
    ...(tlsCiphers.length > 0 && { tlsCiphers }),
  };
};

/** Refuses what no Date can hold, because the Engine API prints it as one. */
const timeFromWire = (timestamp: Timestamp): number => {
  const ms = timestampMs(timestamp);
  if (Number.isNaN(new Date(ms).getTime())) throw new Error('a time out of range');
  return ms;
};

const wireAddress = (bytes: Uint8Array) => {
  assert(bytes.length === 4 || bytes.length === 16, 'an IP address has 4 or 16 bytes');
  const addr =
    bytes.length === 4
      ? { case: 'v4' as const, value: new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) }
      : { case: 'v6' as const, value: bytes };
  return { addr };
};

/** Undefined for an address of another size: it is only shown, so it is no reason to end the connection. */
const addressFromWire = ({ addr }: Wire.IpAddress): Uint8Array | undefined => {
  if (addr.case === 'v6') return addr.value.length === 16 ? Uint8Array.from(addr.value) : undefined;
  if (addr.case === undefined) return undefined;
  return Uint8Array.of(addr.value >>> 24, addr.value >>> 16, addr.value >>> 8, addr.value);
};
