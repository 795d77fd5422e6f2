/**
 * One webhook to one receiver: an HTTP request to an address that was looked at before.
 *
 * Flow: webhook-lane.ts and webhook-desk.ts send deliveries by it.
 * Invariant: the name is resolved once for each attempt, and the connection goes to an address that was found allowed then, so that no second
 * answer of a name server (rebinding) leads elsewhere; TLS is verified against the name. No redirect is followed, no proxy asked, no
 * connection kept. Of the answer only the status counts.
 * Limits: webhookAttemptMsMax, webhookAnswerBytesMax, webhookAnswerHeadBytesMax.
 */
import { type LookupAddress, promises } from 'node:dns';
import { type ClientRequest, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { type AddressKind, addressKindOf } from '../base/address-kind.ts';
import { EngineError, fail } from '../base/errors.ts';
import { bytesFromAddress } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface WebhookSenderNeeds {
  readonly clock: Clock;
  /** Every address of a name; the system's by default. */
  readonly resolve?: (name: string) => Promise<readonly LookupAddress[]>;
  /** PEM of the authorities to trust; Node's own by default. */
  readonly ca?: string;
}

export interface WebhookSenderOptions {
  /** Whether receivers may have private and loopback addresses (`webhooks.allow_private`). */
  readonly allowsPrivate: boolean;
}

/**
 * Resolves with the status, which is 2xx, when the answer has been read or cut off.
 * @param signal ends it at once
 * @throws WEBHOOK_ADDRESS_FORBIDDEN, WEBHOOK_HOST_UNKNOWN, WEBHOOK_UNREACHABLE, WEBHOOK_TLS_FAILED, WEBHOOK_TIMEOUT, WEBHOOK_REFUSED
 */
export type SendWebhook = (request: WebhookRequest, signal: AbortSignal) => Promise<number>;

const resolveBySystem = (name: string): Promise<LookupAddress[]> => promises.lookup(name, { all: true });

export const createWebhookSender = (
  { clock, resolve = resolveBySystem, ca }: WebhookSenderNeeds,
  { allowsPrivate }: WebhookSenderOptions,
): SendWebhook => {
  const isAllowed = (kind: AddressKind, isSecure: boolean): boolean =>
    isSecure
      ? kind === 'public' || (allowsPrivate && kind !== 'forbidden')
      : allowsPrivate && kind === 'loopback';

  /** Where a URL leads, as far as the engine goes there. */
  const allowedAddresses = async ({ hostname, protocol }: URL): Promise<readonly LookupAddress[]> => {
    const name = hostname.replace(/^\[|\]$/g, '');
    const family = { 4: 4, 16: 6 }[bytesFromAddress(name)?.length ?? 0];
    const found = family ? [{ address: name, family }] : await resolved(name, resolve);
    const allowed = found.filter(({ address }) => isAllowed(addressKindOf(address), protocol === 'https:'));
    if (allowed.length === 0) throw fail('WEBHOOK_ADDRESS_FORBIDDEN');
    return allowed;
  };

  const exchange = async ({ url, headers, body }: WebhookRequest, signal: AbortSignal): Promise<number> => {
    const target = new URL(url);
    const addresses = await Promise.race([allowedAddresses(target), abortOf(signal)]);
    const send = target.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(target, {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' },
      agent: false,
      lookup: lookupOf(addresses),
      maxHeaderSize: LIMITS.webhookAnswerHeadBytesMax,
      signal,
      ...(ca !== undefined && { ca }),
    });
    request.end(body);
    return statusOf(request);
  };

  return async (request, signal) => {
    const ended = new AbortController();
    const end = () => ended.abort();
    let isLate = false;
    const deadline = clock.after(LIMITS.webhookAttemptMsMax, () => {
      isLate = true;
      end();
    });
    signal.addEventListener('abort', end);
    try {
      signal.throwIfAborted();
      const status = await exchange(request, ended.signal);
      if (status < 200 || status > 299) throw fail('WEBHOOK_REFUSED', { status });
      return status;
    } catch (thrown) {
      if (thrown instanceof EngineError) throw thrown;
      throw isLate
        ? fail('WEBHOOK_TIMEOUT', { seconds: LIMITS.webhookAttemptMsMax / 1_000 })
        : errorFrom(thrown as NodeJS.ErrnoException);
    } finally {
      deadline.cancel();
      signal.removeEventListener('abort', end);
    }
  };
};

const resolved = async (name: string, resolve: NonNullable<WebhookSenderNeeds['resolve']>) => {
  try {
    return await resolve(name);
  } catch (thrown) {
    throw fail('WEBHOOK_HOST_UNKNOWN', { reason: reasonOf(thrown as NodeJS.ErrnoException) }, thrown);
  }
};

/** Answers with what was looked at, whatever name is asked for. */
const lookupOf =
  (addresses: readonly LookupAddress[]): LookupFunction =>
  (_name, options, done) => {
    const [first] = addresses;
    if (options.all) done(null, [...addresses]);
    else done(null, first?.address ?? '', first?.family);
  };

/** A look at a name cannot be called off. */
const abortOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

const statusOf = (request: ClientRequest): Promise<number> =>
  new Promise((resolve, reject) => {
    // There may be another one, of the rest of the answer.
    request.on('error', reject);
    // Nobody has asked for another protocol. Where nobody listened, Node would end the connection without another word.
    request.once('upgrade', ({ statusCode = 0 }, socket) => {
      socket.destroy();
      resolve(statusCode);
    });
    request.once('response', (response) => {
      let byteCount = 0;
      response.on('data', (chunk: Buffer) => {
        byteCount += chunk.length;
        if (byteCount > LIMITS.webhookAnswerBytesMax) response.destroy();
      });
      // The status was read, whatever becomes of the rest: also when that is cut off, here or by the deadline.
      response.on('error', () => {}).once('close', () => resolve(response.statusCode ?? 0));
    });
  });

const errorFrom = (error: NodeJS.ErrnoException): EngineError => {
  const code = /CERT|SIGNATURE|TLS|SSL|EPROTO/.test(error.code ?? '')
    ? 'WEBHOOK_TLS_FAILED'
    : 'WEBHOOK_UNREACHABLE';
  return fail(code, { reason: reasonOf(error) }, error);
};

/** Its code: messages of the system have addresses in them. */
const reasonOf = ({ code }: NodeJS.ErrnoException): string => code ?? 'the connection broke off';
