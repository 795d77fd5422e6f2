/**
 * Countries, named by two letters (ISO 3166-1 alpha-2).
 *
 * Invariant: upper case everywhere behind this file. The list of codes is not kept: databases know more of them than the standard, such
 * as XK, and a code that stands for no country lets nobody in.
 */

/** The code in its canonical form; undefined when it is none. */
export const countryFrom = (text: string): string | undefined =>
  // Looked at before it is changed: the upper case of one foreign letter can be two of ours.
  /^[A-Za-z]{2}$/.test(text) ? text.toUpperCase() : undefined;
