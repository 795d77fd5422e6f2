/** The commands about credentials against a configuration in a directory of its own, and an engine's credentials beside them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { Command } from 'commander';
import { createClock } from '../../src/base/time.ts';
import { registerAdmin } from '../../src/cli/admin.ts';
import { registerApp } from '../../src/cli/app.ts';
import { registerAudit } from '../../src/cli/audit.ts';
import { registerCert } from '../../src/cli/cert.ts';
import { registerKey } from '../../src/cli/key.ts';
import { registerToken } from '../../src/cli/token.ts';
import { createCredentials } from '../../src/store/credentials.ts';
import { openTestDatabase } from '../support/store.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

export const JWT_SECRET = 'the shared secret of the operator, 32 bytes and more';

const COMMANDS = {
  token: registerToken,
  app: registerApp,
  cert: registerCert,
  key: registerKey,
  audit: registerAudit,
  admin: registerAdmin,
};

export const setUpStore = (t: TestContext, noun: keyof typeof COMMANDS) => {
  const directory = makeTemporaryDirectory(t);
  const config = join(directory, 'config.yaml');
  writeFileSync(
    config,
    `engine: { host: edge.example.com }
certs: { static: { cert_file: cert.pem, key_file: key.pem } }
auth: { jwt: { token_jwt_secret: '${JWT_SECRET}' } }
`,
    { mode: 0o600 },
  );

  /** Runs `<noun> ...`, or another noun's command; gives the lines of standard output and standard error. */
  const run = async (
    args: string[],
    { env = { RSTREAM_ENGINE_CONFIG: config } as Record<string, string>, of = noun, input = '' } = {},
  ) => {
    const printed: string[] = [];
    const told: string[] = [];
    const program = new Command().exitOverride().configureOutput({ writeErr: (text) => told.push(text) });
    COMMANDS[of](program, {
      env,
      print: (line) => printed.push(line),
      tell: (line) => told.push(line),
      stopSignal: new AbortController().signal,
      onHangup: () => {},
      stdin: Readable.from([input]),
      stdout: new PassThrough(),
    });
    await program.parseAsync([of, ...args], { from: 'user' });
    return { printed, told, all: [...printed, ...told].join('\n') };
  };

  /** The credentials of a running engine beside the commands. */
  const openEngine = () =>
    createCredentials({
      database: openTestDatabase(t, join(directory, 'engine.db')),
      clock: createClock(),
      engineHost: 'edge.example.com',
    });
  return { directory, config, run, openEngine };
};
