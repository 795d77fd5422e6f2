/**
 * The lists of whom a tunnel lets in, as the reply and the policy have them: canonical, each entry once (protocol.md 8.1).
 *
 * Invariant: an entry that cannot be understood refuses the tunnel; left out, it would change who gets in.
 */
import { countryFrom } from '../base/country.ts';
import { fail } from '../base/errors.ts';
import { readRange } from '../base/ip.ts';

/**
 * @param texts the property `trusted_ips`
 * @throws PROPERTIES_INVALID
 */
export const trustedIpsFrom = (texts: readonly string[]): string[] =>
  eachOnce(texts, (text) => {
    const reading = readRange(text);
    if ('problem' in reading)
      throw fail('PROPERTIES_INVALID', { problem: `trusted_ips: ${text} ${reading.problem}` });
    return reading.range;
  });

/**
 * @param texts the property `geoip`
 * @throws PROPERTIES_INVALID
 */
export const geoipFrom = (texts: readonly string[]): string[] =>
  eachOnce(texts, (text) => {
    const country = countryFrom(text);
    if (country === undefined)
      throw fail('PROPERTIES_INVALID', {
        problem: `geoip: ${text} must be a country of two letters (ISO 3166-1 alpha-2)`,
      });
    return country;
  });

const eachOnce = (texts: readonly string[], canonical: (text: string) => string): string[] => [
  ...new Set(texts.map(canonical)),
];
