/**
 * Settings from the environment: RSTREAM_ENGINE_TLS__LISTEN_ADDR is tls.listen_addr (protocol.md 14.2).
 *
 * Invariant: names without a double underscore belong to others (clients use RSTREAM_ENGINE, RSTREAM_ENGINE_ADDRESS and more, Kubernetes
 * makes RSTREAM_ENGINE_PORT_...) unless they are exactly a setting; names with one are ours, and a slip in them is a fault.
 */
import { CONFIG_FIELDS, type ConfigField, ENV_PREFIX } from './fields.ts';
import { nearestOf } from './nearest.ts';

/** Environment variables, as in process.env. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment sets. */
export interface Overrides {
  /** By the key of the field; a text that does not fit the field's kind stays a text, and validation refuses it. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

const FIELDS_BY_ENV = new Map(
  CONFIG_FIELDS.flatMap((field) => (field.env === undefined ? [] : [[field.env, field] as const])),
);
const FIELDS_BY_SLIP = new Map([...FIELDS_BY_ENV].map(([env, field]) => [env.replaceAll('__', '_'), field]));

// Enough for a forgotten word or underscores, too little to take one setting for another.
const NAME_SLIPS_MAX = 4;

/** Finds the settings in an environment. */
export const overridesFrom = (env: Environment): Overrides => {
  const values = new Map<string, unknown>();
  const faults: string[] = [];
  const warnings: string[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined || !name.startsWith(ENV_PREFIX)) continue;
    const field = FIELDS_BY_ENV.get(name);
    const meant = FIELDS_BY_SLIP.get(name);
    if (field) values.set(field.key, valueFrom(field, text));
    else if (name.slice(ENV_PREFIX.length - 1).includes('__')) faults.push(unknownName(name));
    else if (meant) warnings.push(`${name} is ignored; the setting is called ${meant.env}`);
  }
  return { values, faults, warnings };
};

const valueFrom = ({ kind }: ConfigField, text: string): unknown => {
  if (kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (kind === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (kind === 'array')
    return text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
  return text;
};

const unknownName = (name: string): string => {
  const nearest = nearestOf(name, [...FIELDS_BY_ENV.keys()], NAME_SLIPS_MAX);
  return `${name}: there is no such setting${nearest ? `; did you mean ${nearest}?` : ''}`;
};
