/** `audit list|verify`: the log of what was done to credentials. */

import type { Command } from 'commander';
import { fail } from '../base/errors.ts';
import { isoFrom } from '../base/instant.ts';
import { createClock } from '../base/time.ts';
import type { AuditLog } from '../store/audit.ts';
import type { CliContext } from './context.ts';
import { type AccessFlags, auditLogOf, CONFIG_FLAG, configOf, printTable } from './credential-access.ts';

interface ListFlags extends AccessFlags {
  readonly limit: string;
}

/** Adds the `audit` commands. */
export const registerAudit = (program: Command, context: CliContext): void => {
  const command = program.command('audit').description('read and check the audit log');

  command
    .command('list')
    .description('print the newest entries')
    .option('--limit <count>', 'how many', '100')
    .option('--json', 'print JSON')
    .option(...CONFIG_FLAG)
    .action((flags: ListFlags) => withAuditLog(flags, context, (audit) => list(audit, flags, context)));

  command
    .command('verify')
    .description('check that no entry was changed or removed; exit code 1 if one was')
    .option(...CONFIG_FLAG)
    .action((flags: AccessFlags) =>
      withAuditLog(flags, context, (audit) => {
        const { count, lastNumber, lastHash } = audit.verify();
        context.print(
          `ok: ${count} entries; the last is number ${lastNumber} with hash ${lastHash || 'none'}`,
        );
      }),
    );
};

const withAuditLog = (flags: AccessFlags, context: CliContext, work: (audit: AuditLog) => void): void => {
  const audit = auditLogOf(configOf(flags, context), createClock(), context);
  try {
    work(audit);
  } finally {
    audit.close();
  }
};

const list = (audit: AuditLog, { limit, json }: ListFlags, { print, tell }: CliContext): void => {
  if (!/^[1-9]\d{0,5}$/.test(limit))
    throw fail('USAGE', { problem: '--limit must be a whole number above 0' });
  const entries = audit.list(Number(limit)).map(({ at, ...entry }) => ({ at: isoFrom(at), ...entry }));
  if (json) return print(JSON.stringify(entries, null, 2));
  if (entries.length === 0) return tell('The audit log is empty.');
  const rows = entries.map(({ number, at, actor, action, object, name = '-', origin, result }) => [
    ...[String(number), at, actor, action, object, name, origin, result],
  ]);
  printTable(['NUMBER', 'TIME', 'WHO', 'WHAT', 'OBJECT', 'NAME', 'FROM', 'RESULT'], rows, print);
};
