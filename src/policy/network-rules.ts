/**
 * Rules by address and by country (protocol.md 8.1). Both are lists of whom to let in.
 *
 * Invariant: what is no address is in no range, and an unknown country is in no list.
 */
import { createAddressSet } from '../base/ip.ts';
import type { Rule } from './verdict.ts';

/** @param ranges which readRange finds no problem in */
export const addressRule = (ranges: readonly string[]): Rule => {
  const trusted = createAddressSet(ranges);
  return ({ remoteAddress }) => (trusted.has(remoteAddress) ? undefined : 'ADDRESS_FORBIDDEN');
};

/** @param countries in upper case */
export const countryRule = (countries: readonly string[]): Rule => {
  const allowed = new Set(countries);
  return ({ country }) => (country !== undefined && allowed.has(country) ? undefined : 'COUNTRY_FORBIDDEN');
};
