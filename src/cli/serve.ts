/** `serve`: runs the engine until it is told to stop. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { createClock } from '../base/time.ts';
import { configPathFrom, loadConfig } from '../config/load.ts';
import { createEngine } from '../engine.ts';
import type { CliContext } from './context.ts';

/** Adds the command; it is also what runs when none is named. */
export const registerServe = (program: Command, context: CliContext): void => {
  program
    .command('serve', { isDefault: true })
    .description('run the engine (also when only --config is given)')
    .option('-c, --config <path>', 'configuration file (RSTREAM_ENGINE_CONFIG; ./config.yaml)')
    // As the default it is also what any word is taken for that is no command.
    .allowExcessArguments()
    .action(async ({ config: flag }: { config?: string }, { args: [word] }: Command) => {
      if (word !== undefined) throw fail('USAGE', { problem: `There is no command ${word}` });
      const { config, warnings } = loadConfig({
        path: configPathFrom({ flag, env: context.env }),
        env: context.env,
      });
      const log = createLogger(config.engine.log_level);
      for (const warning of warnings) log.warn({}, warning);
      const engine = createEngine(config, { clock: createClock(), log });
      await engine.start();
      if (!context.stopSignal.aborted) await once(context.stopSignal, 'abort');
      await engine.stop();
    });
};
