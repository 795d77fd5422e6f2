/**
 * The directory that `init` makes and `quickstart` uses: configuration, local CA, server certificate, database.
 *
 * Invariant: nothing that exists is overwritten; keys and the database are readable by their owner only from the moment they exist.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fail } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { configFromObject } from '../config/load.ts';
import { isLoopback } from '../config/text-rules.ts';
import { yamlFrom } from '../config/yaml-source.ts';
import { openDatabase } from '../store/database.ts';

/** The files of one engine. */
export interface InstanceFiles {
  readonly dir: string;
  readonly config: string;
  readonly caCertificate: string;
  readonly caKey: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly database: string;
}

export const instanceFiles = (dir: string): InstanceFiles => {
  const absolute = resolve(dir);
  return {
    dir: absolute,
    config: join(absolute, 'config.yaml'),
    caCertificate: join(absolute, 'ca.pem'),
    caKey: join(absolute, 'ca-key.pem'),
    serverCertificate: join(absolute, 'server.pem'),
    serverKey: join(absolute, 'server-key.pem'),
    database: join(absolute, 'engine.db'),
  };
};

/** What a new instance is made for. */
export interface InstanceOptions {
  readonly dir: string;
  readonly host: string;
  readonly listen: string;
}

/**
 * Makes all files of an instance.
 * @throws ALREADY_INITIALIZED when any of them exists, CONFIG_INVALID when host or address are not sound
 */
export const createInstance = async (
  { dir, host, listen }: InstanceOptions,
  clock: Clock,
): Promise<InstanceFiles> => {
  const files = instanceFiles(dir);
  const settings = {
    engine: { host },
    tls: { listen_addr: listen },
    // Where only this machine can connect, whoever may open tunnels opens nothing to others.
    ...(isLoopback(listen) && { tcp: { enabled: true, listen_host: '127.0.0.1' } }),
    certs: { static: { cert_file: 'server.pem', key_file: 'server-key.pem' } },
    store: { path: 'engine.db' },
    // Who asks for any free port for the one listener gets one for the other.
    admin: { enabled: true, listen_addr: listen.endsWith(':0') ? '127.0.0.1:0' : ADMIN_LISTEN },
  };
  const config = configFromObject(settings, { dir: files.dir });
  const { dir: _, ...paths } = files;
  for (const path of Object.values(paths)) if (existsSync(path)) throw fail('ALREADY_INITIALIZED', { path });

  // Loaded here alone: certificates take 200 ms to load, and every other command does without them.
  const { createAuthority } = await import('../store/authority.ts');
  const authority = await createAuthority({ host: config.engine.host, clock });
  mkdirSync(files.dir, { recursive: true, mode: 0o700 });
  writeNew(files.caCertificate, authority.caCertificate, 0o644);
  writeNew(files.caKey, authority.caKey, 0o600);
  writeNew(files.serverCertificate, authority.serverCertificate, 0o644);
  writeNew(files.serverKey, authority.serverKey, 0o600);
  openDatabase({ path: files.database, mode: 'create' }).close();
  // Last: a directory with a configuration is a complete one.
  writeNew(files.config, `${CONFIG_HEAD}${yamlFrom(settings)}`, 0o600);
  return files;
};

const ADMIN_LISTEN = '127.0.0.1:9443';

const CONFIG_HEAD =
  '# rstream-engine-ce. Every setting is described in docs/configuration.md and config.example.yaml.\n';

// wx: a file that appeared meanwhile is not overwritten either.
const writeNew = (path: string, text: string, mode: number): void =>
  writeFileSync(path, text, { mode, flag: 'wx' });
