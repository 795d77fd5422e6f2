/**
 * The settings as a JSON Schema, for editors that complete and check while one types.
 *
 * Flow: `config schema` prints it, and docs/config.schema.json is rendered from it.
 * Invariant: a file that the engine loads without help of the environment is valid by it; rules about texts and between settings are the
 * engine's alone, and check-config tells of them.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';

/** What zod writes of a setting or section; `meta` entries appear among it. */
interface Node {
  readonly doc?: string;
  readonly example?: unknown;
  readonly secret?: boolean;
  readonly file?: boolean;
  readonly readOnly?: boolean;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
}

/** JSON Schema 2020-12. */
export const configJsonSchema = (): Readonly<Record<string, unknown>> => {
  const { $schema, ...root } = z.toJSONSchema(configSchema, { io: 'input' });
  return { $schema, title: 'rstream-engine-ce', ...nodeFrom(root as Node) };
};

// What zod calls read-only is what the program does not change; editors would show it as what nobody may write.
const nodeFrom = ({
  doc,
  example,
  secret,
  file: _,
  readOnly: __,
  items,
  properties,
  required,
  ...rest
}: Node): Readonly<Record<string, unknown>> => ({
  ...(doc !== undefined && { description: doc }),
  ...rest,
  ...(example !== undefined && { examples: [example] }),
  ...(secret && { writeOnly: true }),
  ...(items && { items: nodeFrom(items) }),
  ...(properties && sectionFrom(properties, required)),
});

/** A section in which nothing is required may be left out, and may be empty, which is null in YAML: load.ts completes it. */
const sectionFrom = (
  properties: Readonly<Record<string, Node>>,
  names: readonly string[] = [],
): { readonly type: unknown; readonly properties: unknown; readonly required?: readonly string[] } => {
  const required = names.filter((name) => {
    const child = properties[name];
    return !child?.properties || isRequired(child);
  });
  return {
    type: required.length > 0 ? 'object' : ['object', 'null'],
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, child]) => [name, nodeFrom(child)]),
    ),
    ...(required.length > 0 && { required }),
  };
};

const isRequired = ({ properties = {}, required = [] }: Node): boolean =>
  required.some((name) => {
    const child = properties[name];
    return !child?.properties || isRequired(child);
  });
