/**
 * What is kept of a record: the one place that decides, and redacts.
 *
 * Invariant: texts that a downstream chose are cut, and copied: a part of a text keeps the whole of it in memory, here a request head.
 * Limits: recordTextCharsMax.
 */
import { LIMITS } from '../base/limits.ts';
import { type RecordedRequest, type TrafficRecord, terminationOf } from '../base/record.ts';
import type { StoredRecord } from '../store/record-row.ts';

/**
 * @param nowMs since 1970: when it ended
 * @param countryOf an address, where a GeoIP database knows it
 */
export const storedFrom = (
  record: TrafficRecord,
  nowMs: number,
  countryOf: (address: string) => string | undefined,
): StoredRecord => {
  const { connection, tunnel, request, error } = record;
  const { by, reason } = terminationOf(record);
  return {
    at: Math.round(nowMs - record.durationMs),
    kind: connection.replay ? 'replay' : record.kind,
    duration_ms: tenths(record.durationMs),
    wait_ms: tenthsOrNull(record.waitMs),
    first_byte_ms: tenthsOrNull(record.firstByteMs),
    address: connection.remoteAddress,
    port: connection.remotePort,
    country: countryOf(connection.remoteAddress) ?? null,
    server_name: connection.serverName ?? null,
    alpn: connection.alpnProtocol ?? null,
    tls_version: connection.tlsVersion ?? null,
    cipher: connection.cipher ?? null,
    post_quantum: connection.isPostQuantum === undefined ? null : Number(connection.isPostQuantum),
    offered_groups: connection.offeredGroups || null,
    ja4: connection.ja4 ?? null,
    ...requestColumns(request, tunnel?.properties.hostname),
    tunnel_id: tunnel?.id ?? null,
    tunnel_name: tunnel?.properties.name ?? null,
    agent_id: tunnel?.agentId ?? null,
    credential_id: tunnel?.credentialId ?? null,
    stream_id: record.streamId ?? null,
    dialer_credential_id: record.dialerCredentialId ?? null,
    decision: decisionOf(record),
    status: record.status,
    code: error?.code ?? null,
    error_id: error?.errorId ?? null,
    bytes_up: record.bytesUp,
    bytes_down: record.bytesDown,
    ended_by: by,
    reason,
  };
};

/** The same for those who are told of a failure elsewhere (webhooks): what is not known is left out, and the time is in ISO 8601. */
export const failedStreamFrom = (...given: Parameters<typeof storedFrom>): object => {
  const { at, ...rest } = storedFrom(...given);
  const known = Object.entries(rest).filter(([, value]) => value !== null);
  return { started_at: new Date(at).toISOString(), ...Object.fromEntries(known) };
};

type RequestColumns = Pick<StoredRecord, 'protocol' | 'method' | 'host' | 'path' | 'user_agent'>;

/** @param hostname of the tunnel, for streams, whose bytes name none */
const requestColumns = (
  request: RecordedRequest | undefined,
  hostname: string | undefined,
): RequestColumns => {
  if (!request) return { protocol: null, method: null, host: hostname ?? null, path: null, user_agent: null };
  const { protocol, method, authority, target, headers } = request;
  return {
    protocol,
    method: ownText(method),
    host: ownText(hostnameOf(authority)),
    // A query may carry anything: tokens, addresses, what people searched for.
    path: ownText(target.split('?', 1)[0] as string),
    user_agent: ownText(headerOf(headers, 'user-agent')),
  };
};

/** Whether the policy of the tunnel, or a proof, stood in the way; 421 stands for the policy of another name on a shared connection. */
const decisionOf = ({ tunnel, error }: TrafficRecord): string | null => {
  if (!tunnel) return null;
  const status = error?.row.status;
  return status === 401 || status === 403 || status === 421 ? 'denied' : 'allowed';
};

const hostnameOf = (authority: string): string => authority.toLowerCase().replace(/:\d*$/, '');

const headerOf = (headers: readonly string[], name: string): string | undefined => {
  for (let i = 0; i < headers.length; i += 2)
    if ((headers[i] as string).toLowerCase() === name) return headers[i + 1];
  return undefined;
};

// V8 copies shorter ones by itself.
const SLICED_CHARS_MIN = 13;

const ownText = (text: string | undefined): string | null => {
  if (text === undefined) return null;
  const cut = text.slice(0, LIMITS.recordTextCharsMax);
  return cut.length < SLICED_CHARS_MIN ? cut : Buffer.from(cut).toString();
};

const tenths = (ms: number): number => Math.round(ms * 10) / 10;
const tenthsOrNull = (ms: number | undefined): number | null => (ms === undefined ? null : tenths(ms));
