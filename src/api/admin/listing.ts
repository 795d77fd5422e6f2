/**
 * Lists in pages, the newest first.
 *
 * Invariant: a page continues where the one before it ended, also when entries came or went meanwhile: a cursor names a place in the order,
 * not a count.
 * Limits: adminPageDefault, adminPageMax.
 */
import { z } from 'zod';
import { fail } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';

export const listQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIMITS.adminPageMax).default(LIMITS.adminPageDefault),
  after: z.string().max(200).optional().meta({ description: 'The `next` of the page before.' }),
  q: z.string().max(200).optional().meta({ description: 'Only entries that hold this text somewhere.' }),
});
export type ListQuery = z.output<typeof listQuery>;

/** The shape of a page. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    total: z.int().meta({ description: 'How many there are on all pages.' }),
    next: z.string().optional().meta({ description: 'Absent on the last page.' }),
  });

interface Entry {
  readonly id: string;
}

/**
 * One page of a list.
 * @param timeOf what the order goes by; entries of the same time are in the order of their ids
 * @throws ADMIN_REQUEST_INVALID for a cursor that is none
 */
export const pageFrom = <Item extends Entry>(
  all: readonly Item[],
  timeOf: (item: Item) => string,
  { limit, after, q }: ListQuery,
): { items: Item[]; total: number; next?: string } => {
  const keyOf = (item: Item) => `${timeOf(item)} ${item.id}`;
  const wanted = q?.toLowerCase();
  const matching = all
    .filter((item) => wanted === undefined || JSON.stringify(item).toLowerCase().includes(wanted))
    .map((item) => ({ item, key: keyOf(item) }))
    .sort((a, b) => (a.key < b.key ? 1 : -1));
  const from = after === undefined ? undefined : keyFrom(after);
  const rest = from === undefined ? matching : matching.filter(({ key }) => key < from);
  const shown = rest.slice(0, limit);
  const last = rest.length > limit ? shown.at(-1) : undefined;
  return {
    items: shown.map(({ item }) => item),
    total: matching.length,
    ...(last && { next: Buffer.from(last.key).toString('base64url') }),
  };
};

const keyFrom = (cursor: string): string => {
  const key = Buffer.from(cursor, 'base64url').toString();
  if (!/^\S+ \S+$/.test(key)) throw fail('ADMIN_REQUEST_INVALID', { problem: 'after is not a cursor' });
  return key;
};

/** How many items have each key. */
export const countedBy = <Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
};
