/**
 * Branded identifiers and their generator.
 *
 * Invariant: every id comes from the system's secure random source, so none can be guessed from another.
 */
import { randomBytes } from 'node:crypto';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** One agent session, shown by the Engine API as client id: `cli_` and 20 base32 characters. */
export type AgentId = Branded<'AgentId'>;
/** One open tunnel: `tun_` and 20 base32 characters. */
export type TunnelId = Branded<'TunnelId'>;
/** One stream: 24 lower-case hex characters (protocol.md 6.1: Go parses hex). */
export type StreamId = Branded<'StreamId'>;
/** One credential record: `crd_` and 20 base32 characters. */
export type CredentialId = Branded<'CredentialId'>;

// Lower-case Crockford alphabet: valid in host names, free of the look-alikes i, l, o and u.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** `length` random base32 characters, 5 bits each. */
export const randomText = (length: number): string => {
  let text = '';
  for (const byte of randomBytes(length)) text += ALPHABET[byte & 31];
  return text;
};

export const newAgentId = (): AgentId => `cli_${randomText(20)}` as AgentId;
export const newTunnelId = (): TunnelId => `tun_${randomText(20)}` as TunnelId;
export const newCredentialId = (): CredentialId => `crd_${randomText(20)}` as CredentialId;
/** One who may log in to the admin page. */
export const newAdminId = (): string => `adm_${randomText(20)}`;
/** One session of the admin page; what its cookie holds is another text. */
export const newAdminSessionId = (): string => `ses_${randomText(20)}`;
/** One exchange that the inspector has captured. */
export const newCaptureId = (): string => `exc_${randomText(20)}`;
/** Of a webhook, of what it tells, and of telling it: receivers see all three. */
export const newWebhookId = (): string => `whk_${randomText(20)}`;
export const newEventId = (): string => `evt_${randomText(20)}`;
export const newDeliveryId = (): string => `dlv_${randomText(20)}`;
export const newStreamId = (): StreamId => randomBytes(12).toString('hex') as StreamId;

/** Joins what a peer was shown to the line in the log: 8 base32 characters, unique enough within a log. */
export const newErrorId = (): string => randomText(8);
