/**
 * The settings of the schema as a flat list, for everything that walks them: the environment, faults and documents.
 *
 * Flow: schema.ts -> JSON Schema (zod's own) -> this list -> load.ts and scripts/render-docs.ts.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';

/** A group of settings. */
export interface ConfigSection {
  /** Names from the top; empty for the whole configuration. */
  readonly path: readonly string[];
  /** The path joined by dots. */
  readonly key: string;
  /** One sentence for the operator. */
  readonly doc: string;
}

/** One setting. */
export interface ConfigField extends ConfigSection {
  /** Its variable in the environment; none for a list of sections, which no variable could hold. */
  readonly env: string | undefined;
  readonly kind: 'boolean' | 'integer' | 'string' | 'array' | 'sections';
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly isFile: boolean;
  /** The settings in each of a list of sections that are files. */
  readonly entryFiles: readonly string[];
  readonly defaultValue: unknown;
  /** What a value may look like, for documents; there if the setting is required or has no default. */
  readonly example: unknown;
  /** Follows "must be": what a value of the right type is. */
  readonly expectation: string;
}

/** What zod writes of a schema, as far as it is read here; `meta` entries appear among it. */
interface JsonSchema {
  readonly type: string;
  readonly doc?: string;
  readonly secret?: boolean;
  readonly file?: boolean;
  readonly example?: unknown;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly required?: readonly string[];
}

/** The prefix that all our variables share. */
export const ENV_PREFIX = 'RSTREAM_ENGINE_';

const envNameFrom = (path: readonly string[]): string => ENV_PREFIX + path.join('__').toUpperCase();

/** The settings of each entry, where a list has sections for entries. */
const entriesOf = (schema: JsonSchema): [name: string, setting: JsonSchema][] =>
  Object.entries(schema.items?.properties ?? {});

const expectationOf = (schema: JsonSchema): string => {
  const entryNames = entriesOf(schema).map(([name]) => name);
  if (entryNames.length > 0) return `a list of entries with ${entryNames.join(' and ')}`;
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  switch (schema.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number from ${schema.minimum} to ${schema.maximum}`;
    case 'array':
      return 'a list of texts';
    default:
      return 'a text that is not empty; numbers need quotes';
  }
};

const sections: ConfigSection[] = [];
const fields: ConfigField[] = [];

const collect = (schema: JsonSchema, path: readonly string[], isRequired: boolean): void => {
  const common = { path, key: path.join('.'), doc: schema.doc ?? '' };
  if (schema.properties) {
    sections.push(common);
    for (const [name, child] of Object.entries(schema.properties))
      collect(child, [...path, name], schema.required?.includes(name) ?? false);
    return;
  }
  const entries = entriesOf(schema);
  const hasSections = entries.length > 0;
  fields.push({
    ...common,
    env: hasSections ? undefined : envNameFrom(path),
    kind: hasSections ? 'sections' : (schema.type as ConfigField['kind']),
    entryFiles: entries.filter(([, entry]) => entry.file).map(([name]) => name),
    isRequired,
    isSecret: schema.secret ?? entries.some(([, entry]) => entry.secret),
    isFile: schema.file ?? false,
    defaultValue: schema.default,
    example: schema.example,
    expectation: expectationOf(schema),
  });
};

collect(z.toJSONSchema(configSchema, { io: 'input' }) as unknown as JsonSchema, [], true);

/** Every section, a parent before its children. */
export const CONFIG_SECTIONS: readonly ConfigSection[] = sections;
/** Every setting, in the order of the schema. */
export const CONFIG_FIELDS: readonly ConfigField[] = fields;

/** The setting that a key names, or whose list it names an entry of. */
export const fieldAt = (key: string): ConfigField | undefined =>
  fields.find((field) => key === field.key || key.startsWith(`${field.key}.`));
