/**
 * What agents and the engine say to each other, in our own words: one union, told apart by `kind`.
 *
 * The public proto files use other names (a control-channel open, a proxy-connection request, a proxy request, a stream request);
 * codec.ts translates once, in both directions. Absent means unset on the wire, which is not the same as empty.
 */
import type { TunnelProperties } from '../base/tunnel-properties.ts';

/** What a peer says of itself, in every handshake message. */
export interface ClientDetails {
  agent?: string;
  channel?: string;
  version?: string;
  os?: string;
  arch?: string;
  /** The user's token; on a dial-back the secret of the dial request. */
  token?: string;
  protocolVersion?: string;
}

/** What the engine says of itself. Clients print plan, provider and region; `update` would show an update notice. */
export interface ServerDetails {
  agent?: string;
  channel?: string;
  version?: string;
  plan?: string;
  provider?: string;
  region?: string;
  update?: string;
}

/** Negotiated heartbeats (protocol.md 4.1); a client asks with the interval alone. */
export interface Liveness {
  heartbeatIntervalMs: number;
  heartbeatTimeoutMs: number;
}

/** An error as the wire carries it (protocol.md 2.3). */
export interface WireError {
  code: number;
  message?: string;
}

/** Every message. The comment names the public proto's payload. */
export type Message =
  /** OpenControlChannelReq */
  | { kind: 'open-channel'; details: ClientDetails; liveness?: Liveness }
  /** OpenControlChannelRsp.ok */
  | { kind: 'channel-opened'; agentId: string; server: ServerDetails; liveness?: Liveness }
  /** OpenControlChannelRsp.error */
  | { kind: 'channel-refused'; error: WireError }
  /** CloseControlChannelReq */
  | { kind: 'close-channel' }
  /** CloseControlChannelRsp */
  | { kind: 'channel-closed' }
  /** OpenTunnelReq */
  | { kind: 'open-tunnel'; requestId: string; properties: TunnelProperties }
  /** OpenTunnelRsp.tunnel_properties */
  | { kind: 'tunnel-opened'; requestId: string; properties: TunnelProperties }
  /** OpenTunnelRsp.error */
  | { kind: 'tunnel-refused'; requestId: string; error: WireError }
  /** CloseTunnelReq */
  | { kind: 'close-tunnel'; tunnelId: string }
  /** CloseTunnelRsp */
  | { kind: 'tunnel-closed'; tunnelId: string }
  /** ProxyConnReq; sourceIp is 4 or 16 bytes */
  | {
      kind: 'dial-request';
      tunnelId: string;
      streamId: string;
      secret?: string;
      sourceIp?: Uint8Array;
      endpoint?: string;
    }
  /** ProxyConnRsp */
  | { kind: 'dial-result'; streamId: string; error?: WireError }
  /** ProxyReq */
  | { kind: 'dial-back'; details: ClientDetails; streamId: string; zeroRtt: boolean }
  /** ProxyRsp */
  | { kind: 'dial-back-result'; error?: WireError }
  /** StreamReq */
  | {
      kind: 'private-dial';
      details: ClientDetails;
      target: string;
      zeroRtt: boolean;
      datagramChannel: boolean;
    }
  /** StreamRsp.stream_id */
  | { kind: 'private-dial-accepted'; streamId: string }
  /** StreamRsp.error */
  | { kind: 'private-dial-refused'; error: WireError }
  /** DatagramChannelClose */
  | { kind: 'datagram-channel-close'; streamId: string; error?: WireError }
  /** Heartbeat; both zero in legacy mode */
  | { kind: 'heartbeat'; sequence: bigint; acknowledgement: bigint }
  /** ServerMessage */
  | { kind: 'server-message'; text: string }
  /** A Message without a payload that we know: an empty frame, or one of a newer protocol. */
  | { kind: 'unknown' };

/** The kinds of {@link Message}. */
export type MessageKind = Message['kind'];
