import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearerFrom, isBearer } from '../../src/base/bearer.ts';

test('a bearer is read in every case of its scheme, and only as one word', () => {
  for (const [text, token, isOne] of [
    ['Bearer abc.def', 'abc.def', true],
    ['bearer  abc ', 'abc', true],
    ['Bearer', undefined, true],
    ['Bearer ', undefined, true],
    ['Bearer a b', undefined, true],
    ['Bearerabc', undefined, false],
    ['Basic YTpi', undefined, false],
    ['', undefined, false],
  ] as const)
    assert.deepEqual([bearerFrom(text), isBearer(text)], [token, isOne], text);
});
