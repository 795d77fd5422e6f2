/** YAML becomes plain values with lines; what is not plain is refused in our own words. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { readYaml, yamlFrom } from '../../src/config/yaml-source.ts';

describe('readYaml', () => {
  test('gives values and the line of each', () => {
    const { tree, lineOf, faults } = readYaml('a: 1\nb:\n  c: [x,\n    true]\n  "d": null\n');
    assert.deepEqual(tree, { a: 1, b: { c: ['x', true], d: null } });
    assert.deepEqual(['a', 'b', 'b.c', 'b.c.0', 'b.c.1', 'b.d', 'e'].map(lineOf), [
      1,
      2,
      3,
      3,
      4,
      5,
      undefined,
    ]);
    assert.deepEqual(faults, []);
  });

  test('takes an empty text, and one of comments, for no settings', () => {
    for (const text of ['', '\n', '# nothing\n', '---\n', '\uFEFF']) {
      assert.deepEqual(readYaml(text).tree, {});
      assert.deepEqual(readYaml(text).faults, []);
    }
  });

  test('knows the booleans of YAML 1.2 only', () => {
    assert.deepEqual(readYaml('%YAML 1.1\n---\na: no\nb: 2001-01-01\nc: 1_0').tree, {
      a: 'no',
      b: '2001-01-01',
      c: '1_0',
    });
  });

  test('gives no key power over an object', () => {
    const { tree } = readYaml('__proto__: {polluted: 1}\nconstructor: 2');
    assert.deepEqual(Object.keys(tree), ['__proto__', 'constructor']);
    assert.equal(Object.getPrototypeOf(tree), Object.prototype);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });

  test('never throws and never quotes, whatever the text', () => {
    const texts = [
      '"hunter2',
      'a: "hunter2" hunter2',
      'a: hunter2: b',

      'a: *hunter2',
      '!hunter2 a',
      '}hunter2',
      'a: @hunter2',
      'a: "\\hunter2"',
      '%hunter2',
      '- hunter2',
      'hunter2',
      '? {hunter2: a}\n: b',
    ];
    for (const text of texts) {
      const { faults } = readYaml(text);
      assert.ok(faults.length > 0, text);
      assert.doesNotMatch(faults.join('\n'), /hunter2/);
    }
  });

  test('refuses a text that is nested beyond reason before it can exhaust the stack', () => {
    const columns = Array.from({ length: 101 }, (_, column) => `${' '.repeat(column)}a:`).join('\n');
    for (const text of [
      '['.repeat(200_000),
      '{'.repeat(200_000),
      '- '.repeat(200_000),
      '? '.repeat(200_000),
      columns,
    ])
      assert.deepEqual(readYaml(text).faults, ['line 1: the text is nested too deeply']);
  });

  test('reads the deepest text that it allows', () => {
    const columns = Array.from({ length: 100 }, (_, column) => `${' '.repeat(column)}a:`).join('\n');
    assert.deepEqual(readYaml(columns).faults, []);
    assert.deepEqual(readYaml(`a: ${'['.repeat(200)}${']'.repeat(200)}`).faults, []);
  });
});

test('yamlFrom writes what readYaml reads, on unbroken lines, and masks secrets', () => {
  const settings = { a: { b: '[::]:443', c: 'word '.repeat(40) }, d: [], e: 'true' };
  assert.deepEqual(readYaml(yamlFrom(settings)).tree, settings);
  assert.equal(yamlFrom({ a: new Secret('hunter2') }), 'a: "***"\n');
});
