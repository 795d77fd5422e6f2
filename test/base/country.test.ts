import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countryFrom } from '../../src/base/country.ts';

test('two letters are a country, in upper case', () => {
  for (const text of ['FR', 'fr', 'Fr']) assert.equal(countryFrom(text), 'FR');
});

test('everything else is none, also what becomes two letters in upper case', () => {
  for (const text of ['', 'F', 'FRA', 'F1', ' FR', 'FR\n', '\u00df', '\ufb01', 'F\u00c9'])
    assert.equal(countryFrom(text), undefined, JSON.stringify(text));
});
