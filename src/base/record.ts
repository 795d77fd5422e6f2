/**
 * What happened to one exchange, raw stream or private stream, as one value (the public stream summary of protocol.md 13.2).
 *
 * Flow: edge and control make one at every way out; observe/ counts it, tells the log and keeps it.
 * Invariant: it refers to what exists already, so that making one costs one object; it carries headers and queries, so only observe/,
 * which redacts, may keep or show any of it.
 */
import { EngineError, type Source } from './errors.ts';
import type { AgentId, StreamId, TunnelId } from './ids.ts';
import type { Principal } from './principal.ts';
import type { TunnelProperties } from './tunnel-properties.ts';

/** The connection of whoever asked; what is absent is not known. */
export interface RecordedConnection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly serverName?: string | undefined;
  readonly alpnProtocol?: string | undefined;
  /** Absent where the engine did not end TLS. */
  readonly tlsVersion?: string | undefined;
  readonly cipher?: string | undefined;
  readonly isPostQuantum?: boolean | undefined;
  /** Key exchange groups that the client offers, named; '' for none. */
  readonly offeredGroups?: string | undefined;
  readonly ja4?: string | undefined;
  /** Present where it is no connection, but the inspector that sends a captured exchange once more. */
  readonly replay?: { readonly of: string; readonly as: string } | undefined;
}

export interface RecordedTunnel {
  readonly id: TunnelId;
  readonly agentId: AgentId;
  readonly credentialId: string;
  readonly properties: Readonly<TunnelProperties>;
}

export interface RecordedRequest {
  readonly protocol: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

export interface TrafficRecord {
  /** `exchange`: a request over HTTP, with what a switch of protocols made of it; `stream`: raw; `private-stream`: raw, by a private dial. */
  readonly kind: 'exchange' | 'stream' | 'private-stream';
  readonly connection: RecordedConnection;
  /** Absent when none was found, or none was asked for. */
  readonly tunnel?: RecordedTunnel | undefined;
  /** Absent for streams, and for a request that could not be read. */
  readonly request?: RecordedRequest | undefined;
  /** Absent for exchanges, which share streams, and where none was got. */
  readonly streamId?: StreamId | undefined;
  /** The credential of who asked: a private dialer, or a downstream of a tunnel that asks for one. */
  readonly dialerCredentialId?: string | undefined;
  /** By which kind of proof a downstream has shown that. */
  readonly dialerKind?: Principal['kind'] | undefined;
  /** What the downstream was answered, or would have been; 0 for streams, which have none. */
  readonly status: number;
  /** Why it failed; absent when it went well, and when a side of a stream broke off. */
  readonly error?: EngineError | undefined;
  readonly durationMs: number;
  /** From the start until a stream to the agent was at hand; absent when there never was one. */
  readonly waitMs?: number | undefined;
  /** From the start until the head of the answer; absent without one, and for streams. */
  readonly firstByteMs?: number | undefined;
  /** Body bytes, or raw ones, from the downstream; a body that passes through in chunks counts with their framing. */
  readonly bytesUp: number;
  /** The same to the downstream. */
  readonly bytesDown: number;
  /** Who ended it first, where there is no error to tell. */
  readonly endedBy: Source;
  /** Whether that was a break, and not an end. */
  readonly isBroken: boolean;
}

/** Who ended it, and why: the code of the error, `complete`, or `reset` for a side that broke off. */
export interface Termination {
  readonly by: Source;
  readonly reason: string;
}

export const terminationOf = ({ error, endedBy, isBroken }: TrafficRecord): Termination =>
  error
    ? { by: error.row.source, reason: error.code }
    : { by: endedBy, reason: isBroken ? 'reset' : 'complete' };

/** How a relay ended; its side `a` is the downstream's. */
export interface RelayEnd {
  readonly bytesAToB: number;
  readonly bytesBToA: number;
  readonly endedBy: 'a' | 'b';
  readonly isBroken: boolean;
  readonly cause?: unknown;
}

/**
 * What a relay has to say for the record.
 * @param error why it was cut, where its own cause does not tell
 */
export const endFromRelay = (
  { bytesAToB, bytesBToA, endedBy, isBroken, cause }: RelayEnd,
  error = cause instanceof EngineError ? cause : undefined,
) => ({
  bytesUp: bytesAToB,
  bytesDown: bytesBToA,
  endedBy: endedBy === 'a' ? ('downstream' as const) : ('upstream' as const),
  isBroken,
  error,
});

/** The record of something that failed before any byte of it moved. */
export const failedRecord = (
  kind: TrafficRecord['kind'],
  connection: RecordedConnection,
  error: EngineError,
  rest: Partial<Pick<TrafficRecord, 'tunnel' | 'durationMs' | 'dialerCredentialId'>> = {},
): TrafficRecord => ({
  kind,
  connection,
  status: kind === 'exchange' ? error.row.status : 0,
  error,
  durationMs: 0,
  bytesUp: 0,
  bytesDown: 0,
  endedBy: 'engine',
  isBroken: false,
  ...rest,
});
