/** The judgement of an h2spec report: red for what is new, and for what is no longer true. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { H2SPEC_EXCEPTIONS } from './h2spec-exceptions.ts';
import { casesFromReport, faultsFromCases, type H2specCase } from './h2spec-report.ts';

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="6.7. PING" package="http2/6.7" id="6.7" tests="2" skipped="0" failures="1" errors="0">
    <testcase package="http2/6.7" classname="Sends a PING frame" time="0.0010"></testcase>
    <testcase package="http2/6.7" classname="Sends a &#34;PING&#34; frame" time="0.0010">
      <error>PING Frame (length:8)
Connection closed</error>
    </testcase>
    <testcase package="http2/6.7" classname="Sends none" time="0.0010"><skipped></skipped></testcase>
  </testsuite>
</testsuites>`;

/** A whole report in which the named cases failed. */
const reportWith = (...failed: readonly string[]): H2specCase[] => [
  ...failed.map((name) => ({ name, fault: 'Timeout' })),
  ...Array.from({ length: 145 - failed.length }, (_, index) => ({ name: `case ${index}`, fault: undefined })),
];

describe('casesFromReport', () => {
  test('tells passed, failed and skipped cases by section and name', () => {
    assert.deepEqual(casesFromReport(REPORT), [
      { name: 'http2/6.7 Sends a PING frame', fault: undefined },
      { name: 'http2/6.7 Sends a "PING" frame', fault: 'PING Frame (length:8) Connection closed' },
      { name: 'http2/6.7 Sends none', fault: 'skipped' },
    ]);
  });
});

describe('faultsFromCases', () => {
  const known = { name: 'known', reason: 'Because.' };

  test('finds none where what is listed fails, and nothing else', () => {
    assert.deepEqual(faultsFromCases(reportWith('known'), [known], '1.61.0'), []);
  });

  test('names a case that fails without being listed', () => {
    assert.deepEqual(faultsFromCases(reportWith('known', 'new'), [known], '1.61.0'), ['new: Timeout']);
  });

  test('names a listed case that passes, and one that does not exist', () => {
    const passes = { name: 'case 3', reason: 'Not any more.' };
    assert.deepEqual(faultsFromCases(reportWith('known'), [known, passes], '1.61.0'), [
      'case 3: passes now, drop its exception',
    ]);
    assert.deepEqual(faultsFromCases(reportWith(), [known], '1.61.0'), [
      'known: no such case, drop its exception',
    ]);
  });

  test('keeps an exception to the versions that it names', () => {
    const [older, newer] = [
      { ...known, nghttp2: { before: 66 } },
      { ...known, nghttp2: { from: 66 } },
    ];
    assert.deepEqual(faultsFromCases(reportWith('known'), [older], '1.65.9'), []);
    assert.deepEqual(faultsFromCases(reportWith('known'), [newer], '1.66.0'), []);
    assert.deepEqual(faultsFromCases(reportWith('known'), [older], '1.66.0'), ['known: Timeout']);
    assert.deepEqual(faultsFromCases(reportWith('known'), [newer], '1.65.9'), ['known: Timeout']);
  });

  test('takes a report that is not whole for a fault', () => {
    assert.deepEqual(faultsFromCases([], [], '1.61.0'), ['0 cases ran, not 145']);
  });
});

test('every exception is named once and says why', () => {
  assert.equal(new Set(H2SPEC_EXCEPTIONS.map(({ name }) => name)).size, H2SPEC_EXCEPTIONS.length);
  for (const { name, reason } of H2SPEC_EXCEPTIONS) assert.match(reason, /^.{40,}\.$/, name);
});
