/**
 * A backup of the engine, to keep elsewhere.
 *
 * Invariant: encrypted, always: it holds the keys of the engine, and leaves the machine. The passphrase is in the body of the request and
 * nowhere else.
 */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { LIMITS } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { type AdminRoute, route } from './route.ts';

/** An archive that `restore` takes. */
export interface MadeBackup {
  readonly content: Readable;
  /** In bytes. */
  readonly size: number;
  /** When it was made; milliseconds since 1970. */
  readonly at: number;
}

export interface BackupRoutesNeeds {
  readonly backups: { make(passphrase: Secret): Promise<MadeBackup> };
}

const PASSPHRASE_CHARS_MAX = 400;

export const backupRoutes = ({ backups }: BackupRoutesNeeds): readonly AdminRoute[] => [
  route({
    method: 'POST',
    path: '/backup',
    operationId: 'makeBackup',
    summary:
      'Configuration, keys and databases in one encrypted file, which `rstream-engine-ce restore` takes. One at a time.',
    access: 'admin',
    action: 'backup.create',
    body: z.strictObject({
      // As the command takes it: white space around it is no part of it.
      passphrase: z
        .string()
        .max(PASSPHRASE_CHARS_MAX)
        .trim()
        .min(LIMITS.backupPassphraseCharsMin)
        .meta({ description: 'Without it nobody can read the backup; the engine does not keep it.' }),
    }),
    isDownload: true,
    answer: async ({ ctx, body }) => {
      const { content, size, at } = await backups.make(new Secret(body.passphrase));
      ctx.set({
        'content-type': 'application/octet-stream',
        'content-disposition': `attachment; filename="rstream-engine-${stampOf(at)}.backup"`,
        'content-length': String(size),
      });
      return content;
    },
  }),
];

/** 20260102-030405, in UTC. */
const stampOf = (ms: number): string =>
  new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
