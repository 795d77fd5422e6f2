/**
 * The query parameter `params`: URL-encoded JSON with a limit and filters (protocol.md 10.2).
 *
 * Invariant: a filter that is not understood is refused, never ignored: ignoring it would show more than was asked for.
 */
import { z } from 'zod';
import { fail } from '../base/errors.ts';
import { statusSchema } from './dto.ts';

const textSchema = z.string().optional();
const labelFilterSchema = z
  .record(z.string(), z.string().nullable())
  .optional()
  .meta({ description: 'Label values; null means that the label is there, whatever its value.' });

const clientFilters = z.strictObject({
  id: textSchema,
  status: statusSchema.optional(),
  user_id: textSchema,
  agent: textSchema,
  channel: textSchema,
  version: textSchema,
  os: textSchema,
  arch: textSchema,
  protocol_version: textSchema,
  labels: labelFilterSchema,
});

const tunnelFilters = z.strictObject({
  id: textSchema,
  name: textSchema,
  type: textSchema,
  status: statusSchema.optional(),
  client_id: textSchema,
  user_id: textSchema,
  protocol: textSchema,
  hostname: textSchema,
  publish: z.boolean().optional(),
  http_version: textSchema,
  labels: labelFilterSchema,
});

const limit = z.int().min(1).optional();

/** All filters are exact, and all must match. */
export const clientParams = z.strictObject({ limit, filters: clientFilters.optional() });
export const tunnelParams = z.strictObject({ limit, filters: tunnelFilters.optional() });

/** Of the watch endpoints: filters of each side; a side that is left out is unfiltered (protocol.md 0.1). */
export const watchParams = z.strictObject({
  clients: clientFilters.optional(),
  tunnels: tunnelFilters.optional(),
});
export type WatchParams = z.infer<typeof watchParams>;

/**
 * Reads `params` by a schema; absent, empty and `null` mean no limit and no filters.
 * @param text as koa's query gives it: a list when the parameter was repeated
 * @throws PARAMS_INVALID
 */
export const paramsFrom = <Schema extends z.ZodType>(
  schema: Schema,
  text: string | string[] | undefined,
): z.infer<Schema> => {
  if (Array.isArray(text)) throw fail('PARAMS_INVALID', { problem: 'it was given more than once' });
  const result = schema.safeParse(jsonFrom(text || 'null') ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.');
  throw fail('PARAMS_INVALID', { problem: path ? `${path}: ${issue?.message}` : issue?.message });
};

const jsonFrom = (text: string): unknown => {
  try {
    return JSON.parse(text, refusePrototype);
  } catch {
    throw fail('PARAMS_INVALID', { problem: 'it is not JSON' });
  }
};

// zod drops this key from a record without a word, and a filter would be ignored.
const refusePrototype = (key: string, value: unknown): unknown => {
  if (key === '__proto__') throw new SyntaxError('a key that objects reserve');
  return value;
};

type Filterable = Readonly<Record<string, unknown>> & {
  readonly labels?: Record<string, string> | undefined;
};
type Filters = z.infer<typeof clientFilters> | z.infer<typeof tunnelFilters>;

/** Whether an item matches all filters; the keys of a filter are keys of the item. */
export const matcherFrom = (filters: Filters = {}): ((item: Filterable) => boolean) => {
  const { labels = {}, ...exact } = filters;
  const values = Object.entries(exact);
  const labelValues = Object.entries(labels);
  return (item) =>
    values.every(([key, wanted]) => item[key] === wanted) &&
    labelValues.every(([key, wanted]) => hasLabel(item.labels ?? {}, key, wanted));
};

/** The first `limit` of the items that match all filters. */
export const select = <Item extends Filterable>(
  items: readonly Item[],
  { limit, filters }: { limit?: number | undefined; filters?: Filters | undefined },
): Item[] => items.filter(matcherFrom(filters)).slice(0, limit);

const hasLabel = (labels: Record<string, string>, key: string, wanted: string | null): boolean =>
  Object.hasOwn(labels, key) && (wanted === null || labels[key] === wanted);
