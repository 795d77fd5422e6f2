/**
 * What the inspector never keeps: credentials in headers and in queries. Pure.
 *
 * Invariant: a value that is taken out is replaced by a mark that no valid HTTP text can hold, so that what was taken out can be told from
 * what was sent; nothing of the value is left in memory. Bodies are not looked into.
 */

/** Stands for a value that was not kept: outside of what headers and targets may hold. */
export const REDACTED = '•••';

const SECRET_HEADERS: readonly string[] = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'cookie2',
  'set-cookie',
  'set-cookie2',
  'x-api-key',
];

// In names of headers and parameters alike: `X-Auth-Token`, `access_token`, `apiKey`, `mcp-session-id`, `rstream.token`, `client_secret`.
const SECRET_WORDS =
  /token|secret|passw|api[-_.]?key|access[-_.]?key|authorization|authentication|credential|session|jwt|cookie|(?:^|[-_])auth(?:[-_]|$)/;
// Whole names of parameters, too common as parts of others; with a signature, an address alone is enough to get in.
const SECRET_PARAMETERS = /^(?:code|key|pwd|pass|pin|otp|sid|sig)$|signature/;

/** What to keep of the headers of a message. */
export type RedactHeaders = (headers: readonly string[]) => string[];

/** @param more names besides those that are always secret, in any case */
export const createRedaction = (more: readonly string[]): RedactHeaders => {
  const secret = new Set([...SECRET_HEADERS, ...more.map((name) => name.toLowerCase())]);
  return (headers) => {
    const kept: string[] = [];
    for (let i = 0; i < headers.length; i += 2) {
      const name = (headers[i] as string).toLowerCase();
      const isSecret = secret.has(name) || SECRET_WORDS.test(name);
      kept.push(ownText(headers[i] as string), isSecret ? REDACTED : redactedText(headers[i + 1] as string));
    }
    return kept;
  };
};

const PARAMETER = /([?&;#]|^)([^?&;=#\s"'<>]+)=([^&;#\s"'<>]*)/g;

/** A target, or a header that may hold an address, without the values of parameters that let somebody in. */
export const redactedText = (text: string): string =>
  ownText(
    /[?#]/.test(text)
      ? text.replace(PARAMETER, (whole, before: string, name: string) =>
          isSecretParameter(name) ? `${before}${name}=${REDACTED}` : whole,
        )
      : text,
  );

/** Whether something was taken out of a text. */
export const isRedacted = (text: string): boolean => text.includes(REDACTED);

const isSecretParameter = (name: string): boolean => {
  const plain = decoded(name).toLowerCase();
  return SECRET_WORDS.test(plain) || SECRET_PARAMETERS.test(plain);
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
};

/** A copy: a part of a text keeps the whole of it in memory, here a head with what was taken out. */
export const ownText = (text: string): string => Buffer.from(text).toString();
