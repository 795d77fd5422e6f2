/** `init`: makes the directory of an engine and says what to do next. */
import type { Command } from 'commander';
import { createClock } from '../base/time.ts';
import { FIRST_ADMIN, linkAddress, withAdmins } from './admin.ts';
import type { CliContext } from './context.ts';
import { createInstance } from './instance.ts';

interface Flags {
  readonly dir: string;
  readonly host: string;
  readonly listen?: string;
}

export const registerInit = (program: Command, context: CliContext): void => {
  program
    .command('init')
    .description('make a configuration, a local CA, a server certificate and the database')
    .option('--dir <dir>', 'where to; nothing in it is overwritten', 'data')
    .option('--host <host>', 'host name of the engine; tunnels get names below t.<host>', 'localhost')
    .option(
      '--listen <address>',
      'address of the TLS listener (default: 127.0.0.1:8443 for localhost, otherwise [::]:443)',
    )
    .action(async ({ dir, host, listen }: Flags) => {
      const isLocal = host === 'localhost';
      const files = await createInstance(
        { dir, host, listen: listen ?? (isLocal ? '127.0.0.1:8443' : '[::]:443') },
        createClock(),
      );
      context.tell(`Made ${files.dir}:
  config.yaml      the configuration
  server.pem       certificate for ${host} and *.t.${host}, with server-key.pem; replace both to use one of a public CA
  ca.pem           the local CA that signed it and renews it: clients need this file, and \`cert trust\` says where to put it (ca-key.pem is
                   its key: keep it private)
  engine.db        the database of credentials; engine.signing-key, which signs tokens, appears beside it with the first one
Next:
  rstream-engine-ce token create --config ${files.config} --name my-agent
  rstream-engine-ce serve --config ${files.config}${
    isLocal
      ? ''
      : `
DNS: ${host} must lead to this machine, and *.t.${host} to ${host} (CNAME).`
  }
The admin page, once the engine runs; this link works once, for 15 minutes, and \`admin link\` makes another:`);
      await withAdmins({ config: files.config }, 'open', context, (admins, config) =>
        context.print(linkAddress(config, admins.create({ name: FIRST_ADMIN, role: 'admin' }).link)),
      );
    });
};
