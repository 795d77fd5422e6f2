/**
 * What the Engine API, the watchers and the log show of a session.
 *
 * Invariant: the client details come from outside, so they are cut and hold no control characters: they end in terminals and pages.
 * Limits: clientDetailCharsMax.
 */
import type { AgentId } from '../base/ids.ts';
import { addressWithPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Principal } from '../base/principal.ts';
import type { ClientDetails } from '../wire/message.ts';

/** Where an agent connection comes from, as the doorstep saw it. */
export interface AgentConnection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** SHA-256 of the client's certificate in lower-case hex; absent when it showed none. */
  readonly certificateFingerprint?: string;
  /** What the agent connected to. */
  readonly localAddress?: string;
  readonly localPort?: number;
  /** What its TLS has agreed on, as the doorstep names it; and whether that is known to be post-quantum. */
  readonly tlsVersion?: string;
  readonly cipher?: string;
  readonly isPostQuantum?: boolean;
}

/** The peer as the log names it. */
export const remoteOf = ({ remoteAddress, remotePort }: AgentConnection): string =>
  addressWithPort(remoteAddress, remotePort);

/** Absent means that the client did not say. */
export interface SessionView {
  readonly id: AgentId;
  readonly credentialId: string;
  readonly userId?: string;
  readonly agent?: string;
  readonly channel?: string;
  readonly version?: string;
  readonly os?: string;
  readonly arch?: string;
  readonly protocolVersion?: string;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  readonly remoteAddress: string;
}

const SHOWN = ['agent', 'channel', 'version', 'os', 'arch', 'protocolVersion'] as const;

/** Text from outside, fit for logs and lists. */
export const clean = (text: string): string =>
  // Cc: control, Cf: invisible formatting such as a change of direction, Cs: halves of characters.
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '').slice(0, LIMITS.clientDetailCharsMax);

/** @param connectedAt milliseconds since 1970 */
export const sessionViewFrom = (
  id: AgentId,
  { credentialId, userId }: Principal,
  details: ClientDetails,
  { remoteAddress }: AgentConnection,
  connectedAt: number,
): SessionView => {
  const shown = SHOWN.map((name) => [name, clean(details[name] ?? '')]).filter(([, text]) => text);
  return Object.freeze({
    id,
    credentialId,
    ...(userId !== undefined && { userId }),
    ...Object.fromEntries(shown),
    connectedAt,
    remoteAddress,
  });
};
