/**
 * Brings the configuration together: file, then environment, then defaults; validated as a whole, frozen.
 *
 * Flow: configPathFrom -> loadConfig -> engine.ts maps Config to the options of each room; no room sees Config.
 * Invariant: an operator gets all faults in one go, each with its key and its line or variable; no fault and no print shows a secret.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { faultsFrom } from './faults.ts';
import { CONFIG_FIELDS, CONFIG_SECTIONS, fieldAt } from './fields.ts';
import { type Environment, overridesFrom } from './overrides.ts';
import { type Config, configSchema } from './schema.ts';
import { isTree, type Tree, valueAt } from './tree.ts';
import { inlineYamlFrom, readYaml, type YamlSource, yamlFrom } from './yaml-source.ts';

/** A configuration and where it came from. */
export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file. */
  readonly path: string;
  /** Its directory, where relative paths in it start. */
  readonly dir: string;
  /** Sentences for the operator about things that work and are hardly meant. */
  readonly warnings: readonly string[];
  /** Where a setting was set, by its key: `line 4`, or its variable; undefined where it is the default. */
  originOf(key: string): string | undefined;
}

/** The file that `--config` names, else RSTREAM_ENGINE_CONFIG, else config.yaml in the working directory. */
export const configPathFrom = ({ flag, env }: { flag?: string | undefined; env: Environment }): string =>
  flag || env.RSTREAM_ENGINE_CONFIG || 'config.yaml';

/**
 * Reads and validates a file.
 * Throws CONFIG_NOT_FOUND, or CONFIG_INVALID whose detail `faults` has one line a fault.
 */
export const loadConfig = ({ path, env }: { path: string; env: Environment }): LoadedConfig => {
  const absolute = resolve(path);
  return configFromText({ ...readConfigText(absolute), path: absolute, env });
};

/** A configuration file as it is. */
export interface ConfigText {
  readonly text: string;
  /** Whether every user of the machine can read it. */
  readonly isReadByOthers: boolean;
}

/**
 * Validates the text of a file, as if it were there already.
 * @param path absolute
 * @throws CONFIG_INVALID
 */
export const configFromText = ({
  text,
  isReadByOthers,
  path,
  env,
}: ConfigText & { path: string; env: Environment }): LoadedConfig => {
  const dir = dirname(path);
  const source = readYaml(text);
  if (source.faults.length > 0) throw invalid(source.faults);

  const { config, warnings, originOf } = build(source, env, dir);
  const holdsSecret = CONFIG_FIELDS.some(({ isSecret, key }) => isSecret && source.lineOf(key) !== undefined);
  if (holdsSecret && isReadByOthers)
    warnings.push(`${path} holds a secret and every user of this machine can read it: chmod 600 it`);
  return { config, path, dir, warnings, originOf };
};

/**
 * Validates settings that are at hand already, with the same rules.
 * @param dir where relative paths in it start
 */
export const configFromObject = (
  settings: Readonly<Record<string, unknown>>,
  { dir, env = {} }: { dir: string; env?: Environment },
): Config => build({ tree: settings, lineOf: () => undefined }, env, dir).config;

/** The effective configuration as YAML, secrets masked. */
export const describeConfig = (config: Config): string => yamlFrom(config);

/** A value as YAML writes it on one line, secrets masked. */
export const describeValue = (value: unknown): string => inlineYamlFrom(value);

const invalid = (faults: readonly string[], cause?: unknown) =>
  fail('CONFIG_INVALID', { faults: faults.map((fault) => `  ${fault}`).join('\n') }, cause);

const build = (source: Omit<YamlSource, 'faults'>, env: Environment, dir: string) => {
  const overrides = overridesFrom(env);
  const tree = completed(source.tree, overrides.values, dir);
  const result = configSchema.safeParse(tree);
  const originOf = (key: string) => {
    const field = fieldAt(key);
    if (field && overrides.values.has(field.key)) return field.env;
    const line = source.lineOf(key);
    return line === undefined ? undefined : `line ${line}`;
  };
  const faults = [
    ...(result.success ? [] : faultsFrom(result.error.issues, tree, originOf)),
    ...overrides.faults,
  ];
  if (faults.length > 0 || !result.success) throw invalid(faults);
  return { config: result.data, warnings: [...overrides.warnings], originOf };
};

/** A copy with every section present, the environment laid over it, and paths that start at `dir`. */
const completed = (settings: Tree, overrides: ReadonlyMap<string, unknown>, dir: string): Tree => {
  const root = { ...settings };
  const parentOf = (path: readonly string[]) => valueAt(root, path.slice(0, -1));

  for (const { path } of CONFIG_SECTIONS) {
    const parent = parentOf(path);
    const name = path.at(-1);
    if (name === undefined || !isTree(parent)) continue;
    // A section without settings is null in YAML.
    const section = parent[name] ?? {};
    parent[name] = isTree(section) ? { ...section } : section;
  }
  for (const { path, key, isFile, entryFiles, defaultValue } of CONFIG_FIELDS) {
    const parent = parentOf(path);
    const name = path.at(-1)!;
    if (!isTree(parent)) continue;
    if (overrides.has(key)) parent[name] = overrides.get(key);
    const file = parent[name] === undefined ? defaultValue : parent[name];
    if (isFile && file !== undefined) parent[name] = located(file, dir);
    if (entryFiles.length > 0 && Array.isArray(file))
      parent[name] = file.map((entry: unknown) => withLocated(entry, entryFiles, dir));
  }
  return root;
};

/** What is no path stays as it is, for validation to refuse. */
const located = (file: unknown, dir: string): unknown =>
  typeof file === 'string' && file !== '' ? resolve(dir, file) : file;

const withLocated = (entry: unknown, names: readonly string[], dir: string): unknown =>
  isTree(entry)
    ? Object.fromEntries(
        Object.entries(entry).map(([name, value]) => [
          name,
          names.includes(name) ? located(value, dir) : value,
        ]),
      )
    : entry;

/** At most one byte more than a configuration may have, so that the caller sees that it is too large. */
const readFile = (path: string): { bytes: Buffer; isReadByOthers: boolean } => {
  const file = openSync(path, 'r');
  try {
    // Read by hand, because the size that the file system tells may change, and is 0 for a pipe.
    const bytes = Buffer.alloc(LIMITS.configBytesMax + 1);
    let byteCount = 0;
    for (let read = -1; read !== 0 && byteCount < bytes.length; byteCount += read)
      read = readSync(file, bytes, byteCount, bytes.length - byteCount, null);
    return { bytes: bytes.subarray(0, byteCount), isReadByOthers: (fstatSync(file).mode & 0o004) !== 0 };
  } finally {
    closeSync(file);
  }
};

/** @throws CONFIG_NOT_FOUND, CONFIG_INVALID when it cannot be read or is too large */
export const readConfigText = (path: string): ConfigText => {
  let file: ReturnType<typeof readFile>;
  try {
    file = readFile(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    if (reason === 'ENOENT' || reason === 'ENOTDIR') throw fail('CONFIG_NOT_FOUND', { path }, error);
    throw invalid([`${path} cannot be read (${reason})`], error);
  }
  if (file.bytes.length > LIMITS.configBytesMax)
    throw invalid([`${path} is larger than ${LIMITS.configBytesMax} bytes`]);
  return { text: file.bytes.toString('utf8'), isReadByOthers: file.isReadByOthers };
};
