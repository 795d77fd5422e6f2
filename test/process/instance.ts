/** The directory of an engine for tests of processes, made in this process because that costs no start. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { createClock } from '../../src/base/time.ts';
import { createInstance, type InstanceFiles } from '../../src/cli/instance.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { openDatabase } from '../../src/store/database.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { type CommandOptions, type RunningCommand, startCommand } from './command.ts';

export interface TestInstance {
  readonly files: InstanceFiles;
  /** PEM of its local authority. */
  readonly ca: string;
  createToken(name: string): Promise<string>;
  createTokens(names: readonly string[]): Promise<string[]>;
  /** Starts `serve`; resolves when it is ready. */
  serve(options?: CommandOptions): Promise<{ engine: RunningCommand; port: number }>;
  /** Flags by which the built-in agent finds the engine. */
  engineFlags(port: number): string[];
}

export const makeInstance = async (t: TestContext): Promise<TestInstance> => {
  const clock = createClock();
  const dir = makeTemporaryDirectory(t);
  const files = await createInstance({ dir, host: 'localhost', listen: '127.0.0.1:0' }, clock);
  const createTokens = async (names: readonly string[]) => {
    const database = openDatabase({ path: files.database, mode: 'open' });
    try {
      const credentials = createCredentials({ database, clock, engineHost: 'localhost' });
      const tokens: string[] = [];
      for (const name of names)
        tokens.push((await credentials.createToken({ name, permissions: null })).token);
      return tokens;
    } finally {
      database.close();
    }
  };
  return {
    files,
    ca: readFileSync(files.caCertificate, 'utf8'),
    createTokens,
    createToken: async (name) => (await createTokens([name]))[0] ?? assert.fail(),
    async serve(options) {
      const engine = startCommand(t, ['--config', files.config], options);
      const [, port] = await engine.says(/"port":(\d+),.*"engine ready"/);
      return { engine, port: Number(port) };
    },
    engineFlags: (port) => ['--engine', `localhost:${port}`, '--ca-file', files.caCertificate],
  };
};
