/** Lines of CSV: quoted where they must be, and nothing in them runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvFrom } from '../../../src/api/admin/csv.ts';

test('cells are quoted where RFC 4180 asks for it', () => {
  assert.equal(
    csvFrom(['a', 'b,c', 'say "hi"', 'two\nlines', 7, true, undefined]),
    'a,"b,c","say ""hi""","two\nlines",7,true,\r\n',
  );
});

test('a text that a spreadsheet would run is a text', () => {
  for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '＝1'])
    assert.ok(/^"?'/.test(csvFrom([text])), JSON.stringify(text));
  assert.equal(csvFrom([-1]), '-1\r\n', 'a number is no text');
});
