/**
 * Words of webhooks: what can be told, to whom it may be told, and how a receiver knows that it is from us (protocol.md 13.1).
 *
 * Invariant: the one list of events; whoever may write a webhook down, in the configuration or by the Admin API, is held to the same rules.
 * A problem never repeats the text that it is about.
 * Limits: webhookUrlCharsMax.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { LIMITS } from './limits.ts';
import { Secret } from './secret.ts';

/** Everything that webhooks tell of. Official verifiers take the first four. */
export const WEBHOOK_EVENTS = [
  'client.created',
  'client.deleted',
  'tunnel.created',
  'tunnel.deleted',
  'stream.failed',
  'credential.created',
  'credential.rotated',
  'credential.revoked',
  'certificate.expiring',
] as const;
export type WebhookEventType = (typeof WEBHOOK_EVENTS)[number];

/** Something that happened. */
export interface WebhookEvent {
  readonly type: WebhookEventType;
  /** What it happened to, ready for JSON; never with a secret. */
  readonly object: object;
  /** The user of the token behind it, where it names one. */
  readonly userId?: string | undefined;
}

/** What an operator calls an event that was only sent to see whether it arrives. */
export const WEBHOOK_TEST = 'webhook.test';

/** @param filters exact names, `group.*`, or `*` */
export const isFilteredIn = (filters: readonly string[], type: WebhookEventType): boolean =>
  filters.some((filter) => filter === type || filter === '*' || filter === `${type.split('.', 1)[0]}.*`);

/** The problem of a filter: one that no event matches is a slip. */
export const webhookFilterProblem = (text: string): string | undefined =>
  WEBHOOK_EVENTS.some((type) => isFilteredIn([text], type))
    ? undefined
    : `must be one of ${WEBHOOK_EVENTS.join(', ')}, or a group of them such as client.*`;

/**
 * The problem of the address of a receiver.
 * @param allowsPrivate whether it may be one of a private network, which alone may do without TLS
 */
export const webhookUrlProblem = (text: string, allowsPrivate: boolean): string | undefined => {
  if (text.length > LIMITS.webhookUrlCharsMax)
    return `must be at most ${LIMITS.webhookUrlCharsMax} characters long`;
  if (!URL.canParse(text)) return 'must be a URL';
  const { protocol, username, password, hash } = new URL(text);
  if (protocol === 'http:' && !allowsPrivate) return 'must begin with https://';
  if (protocol !== 'https:' && protocol !== 'http:') return 'must begin with https://';
  if (username || password) return 'must hold no user and no password';
  return hash ? 'must have no fragment' : undefined;
};

const SECRET = /^whsec_[\w-]{32,256}$/;

export const webhookSecretProblem = (text: string): string | undefined =>
  SECRET.test(text) ? undefined : 'must be whsec_ and at least 32 letters, digits, - or _';

export const newWebhookSecret = (): Secret => new Secret(`whsec_${randomBytes(32).toString('base64url')}`);

/**
 * The value of `rstream-signature`: HMAC-SHA256 over `<seconds>.<body>`, keyed by the whole text of the secret, once for each secret:
 * receivers take either while one replaces the other.
 */
export const webhookSignature = (body: string, secrets: readonly Secret[], seconds: number): string => {
  const signed = `${seconds}.${body}`;
  const sums = secrets.map((secret) => createHmac('sha256', secret.reveal()).update(signed).digest('hex'));
  return [`t=${seconds}`, ...sums.map((sum) => `v1=${sum}`)].join(',');
};
