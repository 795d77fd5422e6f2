/**
 * The files of the admin page, as scripts/build-page.mjs left them beside the source. The binary carries its own:
 * scripts/binary/page-files.ts stands in for this module there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** By name; empty where the page was not built. */
export const readPageFiles = (): ReadonlyMap<string, Buffer> => {
  const directory = fileURLToPath(new URL('../web/dist', import.meta.url));
  try {
    return new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]));
  } catch {
    return new Map();
  }
};
