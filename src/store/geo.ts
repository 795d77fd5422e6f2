/**
 * Which country an address is in, by a MaxMind file (GeoLite2, GeoIP2 and what else is of their form).
 *
 * Flow: the edge asks for the country of a downstream where a policy needs it; engine.ts has the file looked at again and again.
 * Invariant: a lookup never throws and never guesses: an address without a country has none. A new file that cannot be used leaves the
 * old one in place; one that is still being written is not read: it was the same at two looks before.
 */
import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type CountryResponse, Reader } from 'maxmind';
import { countryFrom } from '../base/country.ts';
import { type EngineError, fail } from '../base/errors.ts';
import { bytesFromAddress } from '../base/ip.ts';
import type { Logger } from '../base/log.ts';

export interface Geo {
  /**
   * The country that an address is in, as ISO 3166-1 alpha-2; undefined when it is in none, or in none that is known.
   * @param address canonical (base/ip.ts)
   */
  countryOf(address: string): string | undefined;
  /** Takes up the file if it has changed and was the same at the last call; true when countries may be others now. Never rejects. */
  refresh(): Promise<boolean>;
}

type Database = Reader<CountryResponse>;

/** @throws GEOIP_DATABASE_INVALID when the file cannot be read or used */
export const createGeo = ({ log }: { readonly log: Logger }, { path }: { readonly path: string }): Geo => {
  let read = stampOf(path);
  let last = read;
  let database = databaseFrom(path, contentOf(path));
  let isRefreshing = false;

  /** Reads without blocking: a database of cities is as large as 60 MB. */
  const reload = async (): Promise<boolean> => {
    const stamp = stampOf(path);
    const isSettled = stamp === last;
    last = stamp;
    if (!isSettled || stamp === read) return false;
    read = stamp;
    try {
      const bytes = await readFile(path).catch((error) => {
        throw unreadable(path, error);
      });
      // Written meanwhile: what was read may be half of one file and half of another. It is read again when it has settled.
      if (stampOf(path) !== stamp) return false;
      database = databaseFrom(path, bytes);
      log.info({ path, builtAt: database.metadata.buildEpoch }, 'the GeoIP database was reloaded');
      return true;
    } catch (error) {
      log.warn(
        { code: 'GEOIP_DATABASE_INVALID', error },
        'the new GeoIP database is ignored, the old one stays',
      );
      return false;
    }
  };

  return {
    countryOf: (address) => countryIn(database, address),
    async refresh() {
      if (isRefreshing) return false;
      isRefreshing = true;
      try {
        return await reload();
      } finally {
        isRefreshing = false;
      }
    },
  };
};

const countryIn = (database: Database, address: string): string | undefined => {
  const bytes = bytesFromAddress(address);
  // A database of IPv4 would take the first bits of an IPv6 address for one of its own.
  if (bytes === undefined || (bytes.length === 16 && database.metadata.ipVersion === 4)) return undefined;
  try {
    // Not the country that the network is registered in, which may be anywhere.
    return countryFrom(database.get(address)?.country?.iso_code ?? '');
  } catch {
    // A file that is damaged inside.
    return undefined;
  }
};

/** Text that differs whenever the file does. */
const stampOf = (path: string): string => {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'unreadable';
  }
};

const invalid = (problem: string, cause?: unknown): EngineError =>
  fail('GEOIP_DATABASE_INVALID', { problem }, cause);

const unreadable = (path: string, error: unknown): EngineError =>
  invalid(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`, error);

const contentOf = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    throw unreadable(path, error);
  }
};

const databaseFrom = (path: string, bytes: Buffer): Database => {
  const database = readerFrom(path, bytes);
  const { databaseType } = database.metadata;
  if (typeof databaseType !== 'string') throw invalid(`${path} is no MaxMind file`);
  if (!/country|city|enterprise/i.test(databaseType))
    throw invalid(`${path} is of the type ${databaseType}, which knows no countries`);
  if (!isWhole(database.metadata, bytes)) throw invalid(`${path} is damaged, or still being written`);
  return database;
};

/**
 * Whether the tree is where the metadata say, which stand at the other end of the file: a new beginning before an old end is no database,
 * and would know the countries of nobody. Sixteen zeros follow the tree (MaxMind DB 2.0).
 */
const isWhole = ({ nodeCount, searchTreeSize, ipVersion }: Database['metadata'], bytes: Buffer): boolean =>
  nodeCount > 0 &&
  (ipVersion === 4 || ipVersion === 6) &&
  bytes.length > searchTreeSize + TREE_END.length &&
  TREE_END.equals(bytes.subarray(searchTreeSize, searchTreeSize + TREE_END.length));

const TREE_END = Buffer.alloc(16);

const readerFrom = (path: string, bytes: Buffer): Database => {
  try {
    return new Reader<CountryResponse>(bytes);
  } catch (error) {
    throw invalid(`${path} is no MaxMind file`, error);
  }
};
