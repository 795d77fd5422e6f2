/**
 * A sealed file: bytes in, bytes out, and nothing comes out that was not put in.
 *
 * Flow: backup.ts writes files into one and reads them back.
 * Layout: a line of JSON (format and salt), then records: length (4 bytes), ciphertext, tag (16 bytes). AES-256-GCM under a key from the
 * passphrase (scrypt); the nonce is the record's number and whether it is the last one, and the first line is authenticated with each. So
 * records cannot be changed, moved, left out or cut off at the end.
 * Without a passphrase the key is one that everybody can derive: the same file, of which damage is noticed and secrets are not kept.
 * Invariant: no more than a record is in memory, and none is handed out before its tag was checked.
 * Limits: archiveRecordBytes, archiveLineBytesMax.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, scrypt, scryptSync } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Secret } from '../base/secret.ts';

export interface ArchiveWriter {
  write(bytes: Buffer): void;
  /** Seals what is left; without it the file is no archive. */
  finish(): void;
  /** Closes the file; safe to repeat. */
  close(): void;
}

/** What a new archive begins with, and the key that it is written under. */
export interface ArchiveSeal {
  readonly line: Buffer;
  readonly key: Buffer;
}

export interface ArchiveReader {
  /** Exactly so many bytes. Throws BACKUP_INVALID when there are fewer. */
  read(size: number): Buffer;
  /** To the next line feed, without it; undefined at the end. */
  readLine(): string | undefined;
  close(): void;
}

interface Head {
  readonly format: string;
  readonly encrypted: boolean;
  /** In hex. */
  readonly salt: string;
}

const FORMAT = 'rstream-engine-ce backup 1';
const CIPHER = 'aes-256-gcm';
const TAG_BYTES = 16;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
// 128 MiB and half a second for each guess.
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 };
const FILE_MODE = 0o600;

/** For one archive. Takes half a second with a passphrase. */
export const newSeal = (passphrase: Secret | undefined): ArchiveSeal => {
  const { head, line } = newHead(passphrase !== undefined);
  return { line, key: keyFrom(head, passphrase) };
};

/** The same, on another thread. */
export const newSealAside = async (passphrase: Secret): Promise<ArchiveSeal> => {
  const { head, line } = newHead(true);
  const salt = Buffer.from(head.salt, 'hex');
  return { line, key: await scryptAside(passphrase.reveal(), salt, KEY_BYTES, SCRYPT) };
};

const scryptAside = promisify<string, Buffer, number, typeof SCRYPT, Buffer>(scrypt);

const newHead = (encrypted: boolean) => {
  const salt = randomBytes(SALT_BYTES).toString('hex');
  const head = { format: FORMAT, encrypted, salt } satisfies Head;
  return { head, line: Buffer.from(`${JSON.stringify(head)}\n`) };
};

/** Makes a file, which must not exist. File system errors pass as they are. */
export const createArchive = (path: string, { line, key }: ArchiveSeal): ArchiveWriter => {
  const file = openSync(path, 'wx', FILE_MODE);
  let isOpen = true;
  let number = 0;
  let waiting: Buffer = Buffer.alloc(0);

  const seal = (record: Buffer, isLast: boolean) => {
    const cipher = createCipheriv(CIPHER, key, nonceOf(number++, isLast)).setAAD(line);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(record.length);
    const sealed = [length, cipher.update(record), cipher.final(), cipher.getAuthTag()];
    writeAll(file, Buffer.concat(sealed));
  };
  writeAll(file, line);
  return {
    write(bytes) {
      waiting = Buffer.concat([waiting, bytes]);
      // One byte stays: whether a record is the last is known when there is another.
      while (waiting.length > LIMITS.archiveRecordBytes) {
        seal(waiting.subarray(0, LIMITS.archiveRecordBytes), false);
        waiting = waiting.subarray(LIMITS.archiveRecordBytes);
      }
    },
    finish() {
      seal(waiting, true);
      fsyncSync(file);
    },
    close() {
      if (isOpen) closeSync(file);
      isOpen = false;
    },
  };
};

/** @throws BACKUP_INVALID, here and while reading; file system errors pass as they are */
export const openArchive = (path: string, passphrase: Secret | undefined): ArchiveReader => {
  const invalid = (problem: string) => fail('BACKUP_INVALID', { path, problem });
  const file = openSync(path, 'r');
  let offset = 0;
  const take = (size: number): Buffer => {
    const bytes = Buffer.alloc(size);
    let count = 0;
    for (let read = -1; read !== 0 && count < size; count += read)
      read = readSync(file, bytes, count, size - count, offset + count);
    if (count < size) throw invalid('it ends too early');
    offset += size;
    return bytes;
  };
  const sizeBytes = fstatSync(file).size;
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;

  const start = () => {
    const first = take(Math.min(sizeBytes, LIMITS.archiveLineBytesMax));
    const line = first.subarray(0, first.indexOf('\n') + 1);
    offset = line.length;
    const head = headFrom(line.toString('utf8'));
    if (!head) throw invalid('it is not a backup of this engine, or one of a newer engine');
    if (head.encrypted && !passphrase) throw invalid('it is encrypted, and no passphrase is given');
    return { line, key: keyFrom(head, head.encrypted ? passphrase : undefined) };
  };
  const closing = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (thrown) {
      closeSync(file);
      throw thrown;
    }
  };
  const { line, key } = closing(start);

  const nextRecord = (): Buffer => {
    const length = take(4).readUInt32BE();
    if (length > LIMITS.archiveRecordBytes) throw invalid('it is damaged');
    const sealed = take(length);
    const tag = take(TAG_BYTES);
    const decipher = createDecipheriv(CIPHER, key, nonceOf(number++, offset === sizeBytes))
      .setAAD(line)
      .setAuthTag(tag);
    try {
      return Buffer.concat([decipher.update(sealed), decipher.final()]);
    } catch {
      throw invalid(number === 1 ? 'the passphrase is wrong, or it is damaged' : 'it is damaged');
    }
  };
  const fill = (): boolean => {
    if (offset === sizeBytes) return false;
    rest = Buffer.concat([rest, nextRecord()]);
    return true;
  };
  const cut = (size: number): Buffer => {
    const bytes = rest.subarray(0, size);
    rest = rest.subarray(size);
    return bytes;
  };

  return {
    read(size) {
      while (rest.length < size) if (!fill()) throw invalid('it ends too early');
      return cut(size);
    },
    readLine() {
      for (;;) {
        const end = rest.indexOf('\n');
        if (end >= 0) return cut(end + 1).toString('utf8', 0, end);
        if (rest.length > LIMITS.archiveLineBytesMax) throw invalid('it is damaged');
        if (!fill()) {
          if (rest.length > 0) throw invalid('it ends too early');
          return undefined;
        }
      }
    },
    close: () => closeSync(file),
  };
};

const keyFrom = ({ salt }: Head, passphrase: Secret | undefined): Buffer =>
  passphrase
    ? scryptSync(passphrase.reveal(), Buffer.from(salt, 'hex'), KEY_BYTES, SCRYPT)
    : createHash('sha256').update(salt).digest();

const nonceOf = (number: number, isLast: boolean): Buffer => {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt8(isLast ? 1 : 0);
  nonce.writeUIntBE(number, 6, 6);
  return nonce;
};

const headFrom = (line: string): Head | undefined => {
  try {
    const head = JSON.parse(line) as Head;
    return head.format === FORMAT && /^[0-9a-f]{32}$/.test(head.salt) ? head : undefined;
  } catch {
    return undefined;
  }
};

const writeAll = (file: number, bytes: Buffer): void => {
  for (let count = 0; count < bytes.length; ) count += writeSync(file, bytes, count);
};
