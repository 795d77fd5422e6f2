/** `serve`: runs the engine until it is told to stop; SIGHUP, or another file, has it read its configuration again. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { createClock } from '../base/time.ts';
import { configPathFrom, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { createEngine } from '../engine.ts';
import { type ConfigFile, createConfigFile } from './config-file.ts';
import { watchConfig } from './config-watch.ts';
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
      const source = { path: configPathFrom({ flag, env: context.env }), env: context.env };
      const clock = createClock();
      // Before it is read: what is saved meanwhile is another file.
      const watch = watchConfig(clock, source.path, () => reload(configFile, log));
      const { config, warnings } = loadConfig(source);
      const log = createLogger(config.engine.log_level);
      for (const warning of warnings) log.warn({}, warning);
      const apply = (next: Config) => {
        watch.markRead();
        engine.reload(next);
        log.level = next.engine.log_level;
      };
      const configFile = createConfigFile({ log, apply }, source, config);
      const engine = createEngine(config, { clock, log, configFile });
      // Before it listens: until somebody hears it, the signal ends the process.
      context.onHangup(() => {
        watch.markRead();
        reload(configFile, log);
      });
      await engine.start();
      if (!context.stopSignal.aborted) await once(context.stopSignal, 'abort');
      watch.stop();
      await engine.stop();
    });
};

/** Reads the configuration again. A broken one changes nothing. */
const reload = (configFile: ConfigFile, log: Logger): void => {
  try {
    configFile.reload();
  } catch (error) {
    log.error({ error }, 'the configuration was not reloaded, and nothing has changed');
  }
};
