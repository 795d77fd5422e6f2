/**
 * `cert trust` and `cert show-server`: the engine's own certificates and the CA behind them, from their files.
 *
 * Invariant: keys are read to see that they fit, and are never printed.
 */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import { addressWithPort, splitListenAddress } from '../base/ip.ts';
import { type Clock, createClock } from '../base/time.ts';
import type { Config } from '../config/schema.ts';
import { authorityOf, certificateFilesOf } from '../server-certificates.ts';
import { coverageOf, daysUntil, warningsOf } from '../socket/certificate-pair.ts';
import { readPairs } from '../socket/certificates.ts';
import { type Standing, standingOf } from '../store/local-authority.ts';
import type { CliContext } from './context.ts';
import { CONFIG_FLAG, configOf } from './credential-access.ts';
import { PLATFORMS } from './trust-steps.ts';

interface ShowFlags {
  readonly config?: string;
  readonly json?: boolean;
}

interface TrustFlags {
  readonly config?: string;
  readonly platform?: string;
}

/** Adds both to the `cert` command. */
export const registerCertServer = (command: Command, context: CliContext): void => {
  command
    .command('show-server')
    .description(
      'show the certificates that the engine serves: names, end, issuer, chain, and where they are',
    )
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: ShowFlags) => {
      const shapes = shapesFrom(configOf(flags, context).config, createClock());
      if (flags.json) return context.print(JSON.stringify(shapes, null, 2));
      context.print(shapes.map(textFrom).join('\n\n'));
    });
  command
    .command('trust')
    .description('print how to trust the local CA of this engine on each platform')
    .addOption(new Option('--platform <name>', 'one of them').choices(Object.keys(PLATFORMS)))
    .option(...CONFIG_FLAG)
    .action((flags: TrustFlags) => {
      const { config } = configOf(flags, context);
      if (!isOfAuthority(config, createClock()))
        context.tell(
          'What this engine serves was not made by this CA: clients need it only for what it made elsewhere.',
        );
      context.print(trustTextFrom(config, flags.platform));
    });
};

const iso = (text: string): string => new Date(text).toISOString();
const inLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ');

const shapesFrom = (config: Config, clock: Clock) => {
  const { host } = config.engine;
  const files = certificateFilesOf(config);
  const authority = authorityOf(config);
  const nowMs = clock.now();
  const pairs = readPairs(files);
  return pairs.map((pair, index) => {
    const [leaf] = pair.chain;
    const covered = coverageOf(pair, host);
    return {
      ...files[index],
      names: pair.names,
      covers_host: covered.host,
      covers_tunnels: covered.tunnels,
      key_type: pair.keyType,
      issuer: inLine(leaf.issuer),
      serial: leaf.serialNumber.toLowerCase(),
      fingerprint_sha256: leaf.fingerprint256,
      not_before: iso(leaf.validFrom),
      not_after: iso(leaf.validTo),
      days_left: daysUntil(pair.expiresAt, nowMs),
      chain: pair.chain.map(({ subject }) => inLine(subject)),
      ...standingShape(standingOf(leaf, authority, { host, nowMs })),
      warnings: warningsOf(pair, host, nowMs, pairs),
    };
  });
};

const standingShape = ({ source, renewsAt, obstacle }: Standing) => ({
  source,
  ...(renewsAt !== undefined && { renews_at: isoFrom(renewsAt) }),
  ...(obstacle !== undefined && { renewal_obstacle: obstacle }),
});

const textFrom = (shape: ReturnType<typeof shapesFrom>[number]): string => {
  const own = shape.renews_at
    ? `the local CA; the engine renews it from ${shape.renews_at} on`
    : `the local CA; it is NOT renewed: ${shape.renewal_obstacle}`;
  const rows = [
    ['names', shape.names.join(', ')],
    ['key', shape.key_type],
    ['issuer', shape.issuer],
    ['valid', `${shape.not_before} to ${shape.not_after} (${shape.days_left} days left)`],
    ['SHA-256', shape.fingerprint_sha256],
    ['serial', shape.serial],
    ...shape.chain.map((subject, at) => [at === 0 ? 'chain' : '', subject]),
    ['made by', shape.source === 'local_ca' ? own : 'somebody else: renew it where it comes from'],
    ...shape.warnings.map((warning) => ['warning', warning]),
  ];
  const lines = rows.map(([label = '', text]) => `  ${label.padEnd(8)} ${text}`);
  return [`${shape.certFile} with ${shape.keyFile}`, ...lines].join('\n');
};

/** Whether the local CA has made anything that is served; asked without the keys, which are not everybody's to read. */
const isOfAuthority = (config: Config, clock: Clock): boolean => {
  const authority = authorityOf(config);
  const at = { host: config.engine.host, nowMs: clock.now() };
  return certificateFilesOf(config).some(({ certFile }) => {
    try {
      return standingOf(new X509Certificate(readFileSync(certFile)), authority, at).source === 'local_ca';
    } catch {
      return false;
    }
  });
};

const trustTextFrom = (config: Config, platform: string | undefined): string => {
  const path = config.admin.ca_cert_file;
  const authority = authorityFrom(path);
  const { port = 443 } = splitListenAddress(config.tls.listen_addr) ?? {};
  const subject = {
    file: quoted(path),
    address: `https://${addressWithPort(config.engine.host, config.tls.public_port ?? port)}/healthz`,
  };
  const chosen = Object.entries(PLATFORMS).filter(([name]) => platform === undefined || name === platform);
  return [
    `The local CA: ${path}`,
    `  ${inLine(authority.subject)}, valid until ${iso(authority.validTo)}`,
    `  SHA-256 ${authority.fingerprint256}`,
    'Whoever trusts it trusts every certificate that its key signs: compare the fingerprint on the other machine, copy this',
    'one file, and keep its key here.',
    ...chosen.flatMap(([name, { title, steps }]) => [
      '',
      `${title} (--platform ${name})`,
      ...steps(subject).map((line) => `  ${line}`),
    ]),
  ].join('\n');
};

const authorityFrom = (path: string): X509Certificate => {
  try {
    return new X509Certificate(readFileSync(path));
  } catch (cause) {
    const { code = 'no PEM certificate' } = cause as NodeJS.ErrnoException;
    throw fail('USAGE', { problem: `There is no local CA in ${path} (${code})` }, cause);
  }
};

/** For a POSIX shell. */
const quoted = (path: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
