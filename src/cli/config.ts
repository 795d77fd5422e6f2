/** `config show|schema`: what is in force and where it comes from, and what a configuration may hold. */
import { type Command, Option } from 'commander';
import { CONFIG_FIELDS } from '../config/fields.ts';
import { configJsonSchema } from '../config/json-schema.ts';
import { describeValue, type LoadedConfig } from '../config/load.ts';
import { valueAt } from '../config/tree.ts';
import type { CliContext } from './context.ts';
import { CONFIG_FLAG, configOf, printTable } from './credential-access.ts';

interface Flags {
  readonly config?: string;
  readonly output: 'text' | 'json';
}

/** Adds the commands. */
export const registerConfig = (program: Command, context: CliContext): void => {
  const command = program
    .command('config')
    .description('show the configuration in force, or its JSON Schema');

  command
    .command('show')
    .description('show every setting, its value and where it was set; secrets are masked')
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .option(...CONFIG_FLAG)
    .action((flags: Flags) => show(flags, configOf(flags, context), context));

  command
    .command('schema')
    .description('print the JSON Schema of a configuration, for editors')
    .action(() => context.print(JSON.stringify(configJsonSchema(), null, 2)));
};

const show = ({ output }: Flags, { config, originOf }: LoadedConfig, { print }: CliContext): void => {
  const settings = CONFIG_FIELDS.map(({ key, path }) => ({
    key,
    value: valueAt(config, path),
    origin: originOf(key) ?? 'default',
  }));
  if (output === 'json') return print(JSON.stringify(settings, null, 2));
  const rows = settings.map(({ key, value, origin }) => [
    key,
    value === undefined ? 'none' : describeValue(value),
    origin,
  ]);
  printTable(['SETTING', 'VALUE', 'ORIGIN'], rows, print);
};
