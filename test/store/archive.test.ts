import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { Secret } from '../../src/base/secret.ts';
import { createArchive, newSeal, openArchive } from '../../src/store/archive.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const PASSPHRASE = new Secret('correct horse battery');

const seal = (path: string, passphrase: Secret | undefined, ...pieces: Buffer[]): void => {
  const archive = createArchive(path, newSeal(passphrase));
  for (const piece of pieces) archive.write(piece);
  archive.finish();
  archive.close();
};

const readAll = (path: string, size: number, passphrase?: Secret): Buffer => {
  const archive = openArchive(path, passphrase);
  try {
    const bytes = archive.read(size);
    assert.equal(archive.readLine(), undefined, 'nothing is left');
    return bytes;
  } finally {
    archive.close();
  }
};

const invalid = (problem: RegExp) => ({ code: 'BACKUP_INVALID', message: problem });

test('gives back what went in, at every size around a record', (t) => {
  const dir = makeTemporaryDirectory(t);
  const record = LIMITS.archiveRecordBytes;
  for (const size of [0, 1, record - 1, record, record + 1, 3 * record]) {
    const bytes = randomBytes(size);
    const path = join(dir, String(size));
    seal(path, undefined, bytes.subarray(0, size >> 1), bytes.subarray(size >> 1));
    assert.ok(readAll(path, size).equals(bytes), `${size} bytes`);
  }
});

test('encrypts for the owner alone, and takes no other passphrase', (t) => {
  const path = join(makeTemporaryDirectory(t), 'sealed');
  const bytes = Buffer.from('the key of the engine'.repeat(10));
  seal(path, PASSPHRASE, bytes);
  assert.ok(!readFileSync(path).includes('the key'));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(readAll(path, bytes.length, PASSPHRASE).equals(bytes));
  assert.throws(() => readAll(path, 1, new Secret('wrong horse battery')), invalid(/passphrase is wrong/));
  assert.throws(() => readAll(path, 1), invalid(/no passphrase is given/));
});

test('notices a change of any byte, and an end that is missing', (t) => {
  const path = join(makeTemporaryDirectory(t), 'sealed');
  const size = 2 * LIMITS.archiveRecordBytes + 10;
  seal(path, undefined, randomBytes(size));
  const whole = readFileSync(path);
  const head = whole.indexOf('\n') + 1;
  const recordOnDisk = 4 + LIMITS.archiveRecordBytes + 16;
  for (const at of [3, head - 4, head, head + 4, head + 1_000, head + recordOnDisk + 9, whole.length - 1]) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(path, changed);
    assert.throws(() => readAll(path, size), { code: 'BACKUP_INVALID' }, `byte ${at}`);
  }
  // Cut off where a record ends, too.
  for (const end of [0, 10, head, head + recordOnDisk, head + 2 * recordOnDisk, whole.length - 1]) {
    writeFileSync(path, whole.subarray(0, end));
    assert.throws(() => readAll(path, size), { code: 'BACKUP_INVALID' }, `${end} bytes`);
  }
  // Records in another order.
  const [first, second] = [head, head + recordOnDisk].map((at) => whole.subarray(at, at + recordOnDisk));
  writeFileSync(
    path,
    Buffer.concat([whole.subarray(0, head), second!, first!, whole.subarray(head + 2 * recordOnDisk)]),
  );
  assert.throws(() => readAll(path, size), { code: 'BACKUP_INVALID' });
});

test('is no archive when it was never finished', (t) => {
  const path = join(makeTemporaryDirectory(t), 'sealed');
  const archive = createArchive(path, newSeal(undefined));
  archive.write(randomBytes(10));
  archive.close();
  assert.throws(() => readAll(path, 10), { code: 'BACKUP_INVALID' });
});
