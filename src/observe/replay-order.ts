/**
 * From a captured exchange to the request that is sent once more. Pure.
 *
 * Invariant: nothing is added but values for what was redacted: a replay is what was sent before, not a way to send anything else.
 */
import { fail } from '../base/errors.ts';
import type { CapturedExchange } from './captured-exchange.ts';
import { isRedacted } from './redaction.ts';

/** Values for what was redacted; what is not named is left out of the request. */
export interface GivenAnew {
  /** By name, in any case. */
  readonly headers: Readonly<Record<string, string>>;
  /** By name of the parameter. */
  readonly query: Readonly<Record<string, string>>;
}

/** The request that is sent. */
export interface ReplayedRequest {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: string[];
  readonly body: Buffer;
  readonly trailers: string[];
}

/** @throws REPLAY_IMPOSSIBLE */
export const replayedRequestFrom = (
  { request, requestBody }: CapturedExchange,
  { headers, query }: GivenAnew,
): ReplayedRequest => {
  const { method, authority } = request;
  if (request.isSwitch) throw impossible('it asks for a switch of protocols');
  if (!requestBody.isWhole) throw impossible('its end was not captured');
  if (requestBody.content.length < requestBody.bytes) throw impossible('its body was not captured whole');
  return {
    method,
    target: completedTarget(request.target, new Map(Object.entries(query))),
    authority,
    headers: completed(request.headers, lowerCased(headers)),
    body: requestBody.content,
    trailers: completed(requestBody.trailers, new Map()),
  };
};

const impossible = (problem: string) => fail('REPLAY_IMPOSSIBLE', { problem });

const lowerCased = (headers: Readonly<Record<string, string>>): Map<string, string> =>
  new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

/** Each given value takes the place of the first that was redacted under its name. */
const completed = (headers: readonly string[], given: Map<string, string>): string[] => {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const anew = isRedacted(value) ? given.get(name.toLowerCase()) : value;
    if (anew === undefined) continue;
    kept.push(name, anew);
    if (anew !== value) given.delete(name.toLowerCase());
  }
  for (const name of given.keys()) throw impossible(`the header ${name} was not redacted`);
  return kept;
};

const completedTarget = (target: string, given: Map<string, string>): string => {
  const start = target.indexOf('?');
  const parameters = start < 0 ? [] : target.slice(start + 1).split('&');
  const kept: string[] = [];
  for (const parameter of parameters) {
    if (!isRedacted(parameter)) {
      kept.push(parameter);
      continue;
    }
    const written = parameter.slice(0, parameter.indexOf('='));
    const anew = given.get(written);
    given.delete(written);
    if (anew !== undefined) kept.push(`${written}=${encodeURIComponent(anew)}`);
  }
  for (const name of given.keys()) throw impossible(`the parameter ${name} was not redacted`);
  if (start < 0) return target;
  return kept.length > 0 ? `${target.slice(0, start)}?${kept.join('&')}` : target.slice(0, start);
};
