/**
 * Renders what is known in code into documents: config.example.yaml and its schema, the manual page, and those of docs/ named below.
 *
 * `npm run render` writes them; `npm run render -- --check` fails when a committed one differs, as test/documentation.test.ts does.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERRORS, type ErrorRow, type Source } from '../src/base/errors.ts';
import { METRICS, type MetricRow } from '../src/base/metrics.ts';
import { treeOf } from '../src/cli/command-tree.ts';
import { createProgram } from '../src/cli/commands.ts';
import { manualOf } from '../src/cli/man.ts';
import { CONFIG_FIELDS, CONFIG_SECTIONS, type ConfigField } from '../src/config/fields.ts';
import { configJsonSchema } from '../src/config/json-schema.ts';
import { inlineYamlFrom as inline } from '../src/config/yaml-source.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const isIn = (path: readonly string[], { path: fieldPath }: ConfigField) =>
  fieldPath.length === path.length + 1 && path.every((name, index) => fieldPath[index] === name);

/** `text` as comment lines of at most 100 columns. */
const comment = (indent: string, text: string): string[] => {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > 100) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
};

/** What a value may be, as a sentence; none where the doc says it all. */
const valuesOf = ({ kind, expectation }: ConfigField): string =>
  kind === 'integer' || expectation.startsWith('one of')
    ? ` ${expectation[0]!.toUpperCase()}${expectation.slice(1)}.`
    : '';

const exampleField = (field: ConfigField, indent: string): string[] => {
  const hasValue = field.isRequired || field.defaultValue !== undefined;
  const value = inline(field.isRequired ? field.example : (field.defaultValue ?? field.example));
  return [
    ...comment(indent, `${field.doc}${valuesOf(field)}${field.isRequired ? ' Required.' : ''}`),
    `${indent}${hasValue ? '' : '# '}${field.path.at(-1)}: ${value}`,
  ];
};

const renderExample = (): string => {
  const lines = [
    // Editors with a YAML language server complete and check by it.
    '# yaml-language-server: $schema=docs/config.schema.json',
    '# The configuration of rstream-engine-ce, with every default. Rendered from src/config/schema.ts by `npm run render`.',
    '# What is commented out has no default. Every setting can be overridden by the environment: tls.listen_addr by',
    '# RSTREAM_ENGINE_TLS__LISTEN_ADDR. `rstream-engine-ce check-config` says what is wrong with a file.',
  ];
  for (const { path, doc } of CONFIG_SECTIONS.filter(({ key }) => key !== '')) {
    const indent = '  '.repeat(path.length - 1);
    lines.push(...(path.length === 1 ? [''] : []), ...comment(indent, doc), `${indent}${path.at(-1)}:`);
    for (const field of CONFIG_FIELDS.filter((each) => isIn(path, each)))
      lines.push(...exampleField(field, '  '.repeat(path.length)));
  }
  for (const field of CONFIG_FIELDS.filter((each) => isIn([], each)))
    lines.push('', ...exampleField(field, ''));
  return `${lines.join('\n')}\n`;
};

/** Text for a cell of a table: names in angle brackets are not HTML, and a bar does not end the cell. */
const cell = (text: string): string => text.replace(/[<|*]/g, '\\$&');

const defaultCell = ({ isRequired, defaultValue }: ConfigField): string => {
  if (isRequired) return 'required';
  return defaultValue === undefined ? 'none' : `\`${inline(defaultValue)}\``;
};

const renderConfiguration = (): string => {
  const lines = [
    '# Configuration',
    '',
    'Rendered from `src/config/schema.ts` by `npm run render`; change it there.',
    '',
    'The engine reads one YAML file: the one that `--config` (`-c`) names, else `RSTREAM_ENGINE_CONFIG`, else `config.yaml` in the',
    'working directory. [`config.example.yaml`](../config.example.yaml) holds every setting with its default.',
    '',
    '- A variable of the environment wins over the file. Its name is `RSTREAM_ENGINE_` and the key in capitals, with two',
    '  underscores for each dot. Lists are separated by commas, switches are `true` or `false`. A list of entries that have settings of',
    '  their own stands in the file only.',
    '- A relative path starts at the directory of the file.',
    '- Unknown keys and unknown variables of this form are refused. `rstream-engine-ce check-config` reports every fault at once,',
    '  and with `--print` the configuration that results; `rstream-engine-ce config show` says where each value comes from. Secrets are',
    '  never shown: they print as `***`.',
    '- `rstream-engine-ce config schema > config.schema.json` writes a JSON Schema, by which editors complete and check a file that',
    '  begins with `# yaml-language-server: $schema=config.schema.json`. What only the engine can check, `check-config` says.',
  ];
  const [topLevel, ...sections] = CONFIG_SECTIONS;
  for (const { path, key, doc } of [...sections, topLevel!]) {
    const fields = CONFIG_FIELDS.filter((each) => isIn(path, each));
    if (fields.length === 0) continue;
    lines.push('', `## ${key === '' ? 'Top level' : key}`, '', ...(key === '' ? [] : [cell(doc), '']));
    lines.push('| Key | Environment | Default | Meaning |', '|---|---|---|---|');
    for (const field of fields) {
      const meaning = `${field.doc}${valuesOf(field)}${field.isSecret ? ' Secret.' : ''}`;
      const env = field.env === undefined ? 'none' : `\`${field.env}\``;
      lines.push(`| \`${field.key}\` | ${env} | ${defaultCell(field)} | ${cell(meaning)} |`);
    }
  }
  return `${lines.join('\n')}\n`;
};

const BLAME: Readonly<Record<Source, string>> = {
  downstream: 'the client that connected or sent the request',
  upstream: 'the service behind the tunnel',
  agent: 'the agent of the tunnel, or its network',
  operator: 'the set-up of the engine',
  engine: 'the engine',
};

const renderErrors = (): string => {
  const lines = [
    '# Errors',
    '',
    'Rendered from `src/base/errors.ts` by `npm run render`; change it there.',
    '',
    'Every refusal of the engine carries one of these codes, and an error id that leads to its line in the log. Words in braces stand',
    'for what the engine fills in. "Wire" is the code that an agent gets; "retry" says whether the same request may succeed if',
    'it is sent again a little later.',
  ];
  for (const [code, row] of Object.entries<ErrorRow>(ERRORS))
    lines.push(
      '',
      `## ${code}`,
      '',
      cell(row.message.replaceAll('\n', ' ')),
      '',
      `- **At fault:** ${BLAME[row.source]}`,
      `- **HTTP status:** ${row.status} · **wire:** ${row.wireCode} · **retry:** ${row.retryable ? 'yes' : 'no'}`,
      `- **What to do:** ${cell(row.advice)}`,
    );
  return `${lines.join('\n')}\n`;
};

// Longer lists of values are told in the help of their metric.
const LABEL_VALUES_SHOWN = 10;

const labelsCell = ({ labels }: MetricRow): string =>
  Object.entries(labels)
    .map(([label, values]) =>
      values.length > LABEL_VALUES_SHOWN
        ? `\`${label}\``
        : `\`${label}\`: ${values.map((value) => `\`${value}\``).join(', ')}`,
    )
    .join('; ') || 'none';

const renderMetrics = (): string => {
  const lines = [
    '# Metrics',
    '',
    'Rendered from `src/base/metrics.ts` by `npm run render`; change it there.',
    '',
    'With `metrics.prometheus.enabled` the engine serves these in the text format of Prometheus on a listener of its own, `127.0.0.1:9090/metrics`',
    'by default. A listener that other machines can reach needs `metrics.prometheus.bearer_token`; it speaks plain HTTP, so keep it on a',
    'private network. Labels never hold names of hosts, tunnels or credentials: what happened to one of them is in the records and in the log.',
    '[`scripts/grafana/rstream-engine-ce.json`](../scripts/grafana/rstream-engine-ce.json) is a dashboard for Grafana.',
    '',
    '| Name | Type | Labels | Meaning |',
    '|---|---|---|---|',
  ];
  for (const [name, row] of Object.entries<MetricRow>(METRICS))
    lines.push(`| \`${name}\` | ${row.type} | ${labelsCell(row)} | ${cell(row.help)} |`);
  return `${lines.join('\n')}\n`;
};

const renderManual = async (): Promise<string> => {
  const program = await createProgram({
    env: {},
    print: () => {},
    tell: () => {},
    stopSignal: new AbortController().signal,
    onHangup: () => {},
    stdin: process.stdin,
    stdout: process.stdout,
  });
  return manualOf(treeOf(program));
};

/** Every rendered document by its path from the root. */
export const renderDocuments = async (): Promise<ReadonlyMap<string, string>> =>
  new Map([
    ['config.example.yaml', renderExample()],
    ['docs/config.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
    ['docs/configuration.md', renderConfiguration()],
    ['docs/errors.md', renderErrors()],
    ['docs/metrics.md', renderMetrics()],
    ['docs/man/rstream-engine-ce.1', await renderManual()],
  ]);

const main = async (isCheck: boolean): Promise<void> => {
  for (const [path, text] of await renderDocuments()) {
    const file = join(root, path);
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    if (isCheck) {
      console.error(`${path} is out of date: npm run render`);
      process.exitCode = 1;
    } else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      console.log(`wrote ${path}`);
    }
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.includes('--check'));
