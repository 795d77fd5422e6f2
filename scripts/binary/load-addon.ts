/**
 * Runs inside the binary: loads a native addon that the binary carries.
 *
 * Why a file: the system's loader takes nothing else. It lies in a directory that was just made for this user alone, and is gone again
 * before the addon is used; the loader keeps what it has mapped.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getAsset } from 'node:sea';
import { fail } from '../../src/base/errors.ts';

/** The exports of an addon. Throws ADDON_UNAVAILABLE where no file can be made or run. */
export const loadAddon = (asset: string): unknown => {
  const addon: { exports: unknown } = { exports: {} };
  const parent = tmpdir();
  try {
    // mkdtemp makes a new directory with mode 0700, and follows no link.
    const dir = mkdtempSync(join(parent, 'rstream-engine-ce-'));
    try {
      const path = join(dir, asset);
      writeFileSync(path, Buffer.from(getAsset(asset)), { mode: 0o500, flag: 'wx' });
      process.dlopen(addon, path);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  } catch (cause) {
    const reason = (cause as Error).message.trim().replaceAll('\n', ' ');
    throw fail('ADDON_UNAVAILABLE', { directory: parent, reason }, cause);
  }
  return addon.exports;
};
