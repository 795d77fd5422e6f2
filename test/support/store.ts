/** Databases and tokens for tests. */
import { createHmac } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type Database, openDatabase } from '../../src/store/database.ts';

/** Opens a database that closes when the test ends; in memory unless a path is given. */
export const openTestDatabase = (t: TestContext, path = ':memory:'): Database => {
  const database = openDatabase({ path, mode: 'create' });
  t.after(() => database.close());
  return database;
};

/** What a forged token is made of. */
export interface Forgery {
  readonly claims: unknown;
  readonly key?: string | Buffer;
  readonly header?: Readonly<Record<string, unknown>>;
  /** Digest of the HMAC; null signs nothing. */
  readonly digest?: 'sha256' | 'sha512' | null;
}

/** A JWT made by hand, so that it may be as wrong as a test wants. */
export const forgeToken = ({ claims, key = '', header = {}, digest = 'sha256' }: Forgery): string => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(claims)}`;
  const signature = digest === null ? '' : createHmac(digest, key).update(signed).digest('base64url');
  return `${signed}.${signature}`;
};
