/** `check-config`: says whether a configuration is sound, before the engine is asked to run with it. */
import type { Command } from 'commander';
import { configPathFrom, describeConfig, loadConfig } from '../config/load.ts';
import type { CliContext } from './context.ts';

/** Adds the command. It throws CONFIG_INVALID or CONFIG_NOT_FOUND, which main.ts prints. */
export const registerCheckConfig = (program: Command, context: CliContext): void => {
  program
    .command('check-config')
    .description('check a configuration and report all of its faults')
    .option('-c, --config <path>', 'configuration file (RSTREAM_ENGINE_CONFIG; ./config.yaml)')
    .option('--print', 'print the effective configuration, secrets masked')
    .action(({ config: flag, print }: { config?: string; print?: boolean }) => {
      const { config, path, warnings } = loadConfig({
        path: configPathFrom({ flag, env: context.env }),
        env: context.env,
      });
      for (const warning of warnings) context.tell(`warning: ${warning}.`);
      const verdict = `ok: ${path} is a valid configuration.`;
      // What goes to standard output can be piped into a file, so the verdict stays out of a printed configuration.
      if (!print) return context.print(verdict);
      context.print(describeConfig(config).trimEnd());
      context.tell(verdict);
    });
};
