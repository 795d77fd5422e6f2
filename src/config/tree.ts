/** Settings before they are validated: plain objects of anything. */

/** A section, or what stands in for it before it is known to be one. */
export type Tree = Record<string, unknown>;

/** Whether a value can hold settings. */
export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path, or undefined when something on the way is missing or no section. */
export const valueAt = (tree: Tree, path: readonly string[]): unknown =>
  path.reduce<unknown>((value, name) => (isTree(value) ? value[name] : undefined), tree);
