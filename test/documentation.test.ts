/** Documents say what the code says. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { renderDocuments } from '../scripts/render-docs.ts';
import { ERRORS } from '../src/base/errors.ts';
import { METRICS, type MetricRow } from '../src/base/metrics.ts';
import { CONFIG_FIELDS } from '../src/config/fields.ts';
import { configFromObject, loadConfig } from '../src/config/load.ts';
import { readYaml } from '../src/config/yaml-source.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => {
  assert.ok(existsSync(join(root, path)), `${path} is missing`);
  return readFileSync(join(root, path), 'utf8');
};

describe('rendered documents', async () => {
  for (const [path, text] of await renderDocuments())
    test(`${path} is what \`npm run render\` writes`, () => assert.equal(read(path), text));
});

test('docs/errors.md has a section for each error code, and no other', () => {
  const sections = [...read('docs/errors.md').matchAll(/^## (.*)$/gm)].map((match) => match[1]);
  assert.deepEqual(sections, Object.keys(ERRORS));
});

test('docs/configuration.md has a row for each setting, and no other', () => {
  const rows = [...read('docs/configuration.md').matchAll(/^\| `([^`]+)` \| (`[^`]+`|none) \|/gm)];
  assert.deepEqual(
    rows.map((match) => `${match[1]} ${match[2]}`).sort(),
    CONFIG_FIELDS.map(({ key, env }) => `${key} ${env === undefined ? 'none' : `\`${env}\``}`).sort(),
  );
});

test('docs/metrics.md has a row for each metric, and no other', () => {
  const rows = [...read('docs/metrics.md').matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(rows, Object.keys(METRICS));
});

test('the Grafana dashboard asks for metrics and label values that exist', () => {
  const text = read('scripts/grafana/rstream-engine-ce.json');
  const queries = [...text.matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map(
    (match) => JSON.parse(`"${match[1]}"`) as string,
  );
  assert.ok(queries.length > 10);
  for (const query of queries) {
    const names = query.match(/rstream_engine_\w+/g) ?? [];
    assert.ok(names.length > 0, query);
    for (const name of names) assert.ok(rowOf(name), `${name} does not exist`);
    for (const [, name = '', matchers = ''] of query.matchAll(/(rstream_engine_\w+)\{([^}]*)\}/g))
      for (const [, label = '', values = ''] of matchers.matchAll(/(\w+)[!=~]+"([^"]*)"/g))
        for (const value of values.split('|'))
          assert.ok(rowOf(name)?.labels[label]?.includes(value), `${name} has no ${label}="${value}"`);
  }
});

/** Of a metric, or of the histogram that a series belongs to. */
const rowOf = (series: string): MetricRow | undefined => {
  const rows: Readonly<Record<string, MetricRow>> = METRICS;
  const histogram = rows[series.replace(/_(?:bucket|sum|count)$/, '')];
  return rows[series] ?? (histogram?.type === 'histogram' ? histogram : undefined);
};

describe('config.example.yaml', () => {
  const path = join(root, 'config.example.yaml');

  test('loads, and equals the defaults but for what is required', () => {
    const { config, warnings } = loadConfig({ path, env: {} });
    const required = {
      engine: { host: 'edge.example.com' },
      certs: { static: { cert_file: '/etc/rstream/tls/cert.pem', key_file: '/etc/rstream/tls/key.pem' } },
    };
    assert.deepEqual(config, configFromObject(required, { dir: root }));
    assert.deepEqual(warnings, []);
  });

  test('shows every setting, and its secrets must be replaced before they count', () => {
    const whole = read('config.example.yaml').replace(/^( *)# (\w+: (?:\S+|\[ .*\]))$/gm, '$1$2');
    const { lineOf } = readYaml(whole);
    for (const { key } of CONFIG_FIELDS) assert.ok(lineOf(key), `${key} is not shown`);
    assert.throws(() => configFromObject(readYaml(whole).tree, { dir: root }), {
      message:
        /faults:\n {2}auth\.jwt\.token_jwt_secret: is the example.*\n {2}store\.signing_key: is the example.*\n {2}metrics\.prometheus\.bearer_token: is the example.*\n {2}webhooks\.endpoints\.0\.secret: is the example.*$/,
    });
  });
});

test('CHANGELOG.md has a section for the version of package.json', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const sections = [...read('CHANGELOG.md').matchAll(/^## \[?(\d+\.\d+\.\d+)/gm)].map((match) => match[1]);
  assert.ok(sections.includes(version), `no section "## ${version}"`);
});
