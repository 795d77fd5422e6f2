/** Runs inside the binary: the files of the admin page that it carries. */
import { getAsset } from 'node:sea';

/** Lists the assets below, as JSON; a SEA cannot list its own on every Node. */
export const PAGE_INDEX = 'page-files.json';
export const PAGE_PREFIX = 'page/';

/** By name, as src/page-files.ts gives them. */
export const readPageFiles = (): ReadonlyMap<string, Buffer> => {
  const names: readonly string[] = JSON.parse(getAsset(PAGE_INDEX, 'utf8'));
  return new Map(names.map((name) => [name, Buffer.from(getAsset(PAGE_PREFIX + name))]));
};
