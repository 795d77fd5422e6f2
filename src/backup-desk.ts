/**
 * Backups that the admin page asks for: the archive that the command `backup` writes, handed out as bytes.
 *
 * Flow: admin-door.ts makes one; api/admin/backup-routes.ts asks for a backup and sends it.
 * Invariant: one at a time, from its order to its last byte. Before the first byte leaves, the archive is whole and has no name any more:
 * what ends early, the download or the engine, leaves no file behind.
 * Limits: backupDownloadBytesMax, apiAnswerMsMax.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { MadeBackup } from './api/admin/backup-routes.ts';
import { fail } from './base/errors.ts';
import { LIMITS } from './base/limits.ts';
import type { Secret } from './base/secret.ts';
import type { Clock } from './base/time.ts';
import { filesOf } from './cli/backup.ts';
import type { ConfigFile } from './cli/config-file.ts';
import type { Config } from './config/schema.ts';
import { type BackupFile, writeBackupInSteps } from './store/backup.ts';

export interface BackupDeskNeeds {
  readonly clock: Clock;
  readonly configFile: Pick<ConfigFile, 'path'> | undefined;
  running(): Config;
}

export const createBackupDesk = ({ clock, configFile, running }: BackupDeskNeeds) => {
  const ending = new AbortController();
  let isBusy = false;
  let making: Promise<MadeBackup> | undefined;
  let content: Readable | undefined;
  let sending: Promise<void> | undefined;

  const made = async (files: readonly BackupFile[], passphrase: Secret): Promise<MadeBackup> => {
    const aside = mkdtempSync(join(tmpdir(), 'rstream-engine-ce-'));
    try {
      const path = join(aside, 'backup');
      await writeBackupInSteps(path, files, passphrase, ending.signal);
      const file = await open(path);
      const { size } = await file.stat();
      return { content: file.createReadStream(), size, at: clock.now() };
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  };

  /** Its end is the end of the download, however it comes; a caller who does not read is not waited for. */
  const watch = (stream: Readable) => {
    content = stream;
    const deadline = clock.after(LIMITS.apiAnswerMsMax, () => stream.destroy());
    sending = new Promise((resolve) => {
      stream.once('close', () => {
        deadline.cancel();
        isBusy = false;
        resolve();
      });
    });
    if (ending.signal.aborted) stream.destroy();
  };

  return {
    /** @throws BACKUP_UNAVAILABLE, BACKUP_BUSY, BACKUP_TOO_LARGE, BACKUP_FAILED, STORE_UNAVAILABLE, ENGINE_DRAINING */
    async make(passphrase: Secret): Promise<MadeBackup> {
      if (!configFile) throw fail('BACKUP_UNAVAILABLE');
      if (isBusy) throw fail('BACKUP_BUSY');
      const { path } = configFile;
      const files = filesOf({ config: running(), path, dir: dirname(path) });
      if (sizeOf(files) > LIMITS.backupDownloadBytesMax)
        throw fail('BACKUP_TOO_LARGE', { limit: LIMITS.backupDownloadBytesMax });
      isBusy = true;
      try {
        making = made(files, passphrase);
        const backup = await making;
        watch(backup.content);
        return backup;
      } catch (thrown) {
        isBusy = false;
        throw thrown;
      }
    },
    /** Ends whatever is under way; resolves when nothing is left of it. */
    async destroy(): Promise<void> {
      ending.abort();
      content?.destroy();
      // Whoever asked for it is told why it failed.
      await making?.catch(() => undefined);
      await sending;
    },
  };
};

const sizeOf = (files: readonly BackupFile[]): number =>
  files.reduce((sum, { from }) => sum + (statSync(from, { throwIfNoEntry: false })?.size ?? 0), 0);
