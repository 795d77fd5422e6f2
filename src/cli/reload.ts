/**
 * What a configuration that was read again changes in an engine that runs.
 *
 * Flow: config-file.ts reads the file again, asks {@link changeFrom}, and hands the result to the engine.
 * Invariant: a setting that is not in the list below stays as it was at the start, whatever the file says, and is named.
 */
import { isDeepStrictEqual } from 'node:util';
import { Secret } from '../base/secret.ts';
import { CONFIG_FIELDS } from '../config/fields.ts';
import type { Config } from '../config/schema.ts';
import { isTree, valueAt } from '../config/tree.ts';

/** What became of a configuration that was read again. */
export interface ConfigChange {
  /** What is in force from now on. */
  readonly config: Config;
  /** Keys of settings that are other ones now. */
  readonly changed: readonly string[];
  /** Keys of settings that differ and need a new start. */
  readonly pending: readonly string[];
}

// The other settings of `policy` are part of TLS contexts, and with them of connections that are open.
const RELOADABLE = [
  'engine.log_level',
  'policy.require_authentication',
  'policy.published_protocols',
  'policy.trusted_ips',
  'policy.geoip',
  'policy.allow_any',
  'timeouts.drain_seconds',
] as const;

/** Takes from `next` what a running engine can take. */
export const changeFrom = (running: Config, next: Config): ConfigChange => {
  const differing = CONFIG_FIELDS.filter(({ path }) => !isSame(valueAt(running, path), valueAt(next, path)));
  // Without the database that belongs to them no country is known, and nobody would be let in.
  const hasOtherCountries = !isSame(running.geoip.database, next.geoip.database);
  const isReloadable = (key: string) =>
    RELOADABLE.some((reloadable) => reloadable === key) && !(key === 'policy.geoip' && hasOtherCountries);
  const keys = differing.map(({ key }) => key);
  const changed = keys.filter(isReloadable);
  const taken = (section: string): object =>
    Object.fromEntries(
      differing
        .filter(({ key, path: [first] }) => first === section && changed.includes(key))
        .map(({ path }) => [path.at(-1), valueAt(next, path)]),
    );
  return {
    changed,
    pending: keys.filter((key) => !isReloadable(key)),
    config: {
      ...running,
      engine: { ...running.engine, ...taken('engine') },
      policy: { ...running.policy, ...taken('policy') },
      timeouts: { ...running.timeouts, ...taken('timeouts') },
    },
  };
};

const isSame = (a: unknown, b: unknown): boolean => isDeepStrictEqual(revealed(a), revealed(b));

/** With its secrets in the clear, to be compared and nothing else: two Secrets always look alike. */
const revealed = (value: unknown): unknown => {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(revealed);
  if (!isTree(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, revealed(each)]));
};
