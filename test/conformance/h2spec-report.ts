/** Reads h2spec's JUnit report and judges it by the list of exceptions. Pure. */
import type { H2specException } from './h2spec-exceptions.ts';

/** One case of the report. */
export interface H2specCase {
  /** Section and name. */
  readonly name: string;
  /** What went wrong, on one line; undefined when it passed. */
  readonly fault: string | undefined;
}

/** Cases of h2spec 2.2.1 without its strict ones: fewer means that it did not get to the end. */
const CASE_COUNT = 145;

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&amp;': '&',
  '&#34;': '"',
  '&#39;': "'",
  '&#xA;': ' ',
};
const textFrom = (xml: string): string =>
  xml
    .replace(/<[^>]*>/g, ' ')
    .replace(/&[#\w]+;/g, (entity) => ENTITIES[entity] ?? entity)
    .replace(/\s+/g, ' ')
    .trim();

/** The cases of a report. */
export const casesFromReport = (xml: string): H2specCase[] =>
  [...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g)].map(
    ([, section = '', title = '', content = '']) => ({
      name: `${section} ${textFrom(title)}`,
      fault: content.trim() === '' ? undefined : textFrom(content) || 'skipped',
    }),
  );

const minorOf = (nghttp2Version: string): number => Number(nghttp2Version.split('.')[1]);

/**
 * @param nghttp2Version as `process.versions` tells it
 * @returns a sentence for each fault: a case that failed without an exception, an exception that passed, cases that did not run
 */
export const faultsFromCases = (
  cases: readonly H2specCase[],
  exceptions: readonly H2specException[],
  nghttp2Version: string,
): string[] => {
  const minor = minorOf(nghttp2Version);
  const expected = new Set(
    exceptions
      .filter(
        ({ nghttp2: { from = 0, before = Number.POSITIVE_INFINITY } = {} }) =>
          minor >= from && minor < before,
      )
      .map(({ name }) => name),
  );
  const faults = cases.length === CASE_COUNT ? [] : [`${cases.length} cases ran, not ${CASE_COUNT}`];
  for (const { name, fault } of cases) {
    if (fault !== undefined && !expected.has(name)) faults.push(`${name}: ${fault}`);
    if (fault === undefined && expected.has(name)) faults.push(`${name}: passes now, drop its exception`);
    expected.delete(name);
  }
  for (const name of expected) faults.push(`${name}: no such case, drop its exception`);
  return faults;
};
