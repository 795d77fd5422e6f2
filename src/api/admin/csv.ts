/**
 * Lines of CSV (RFC 4180) that a spreadsheet opens without running any of it.
 *
 * Invariant: a text that a spreadsheet would take for a formula begins with an apostrophe, which makes it a text again.
 */

const FORMULA = /^[\t\r ]*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

/** One line, with its end. */
export const csvFrom = (cells: readonly (string | number | boolean | undefined)[]): string =>
  `${cells.map((cell) => (typeof cell === 'string' ? cellFrom(cell) : String(cell ?? ''))).join(',')}\r\n`;

const cellFrom = (text: string): string => {
  const inert = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
};
