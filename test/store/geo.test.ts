/** Countries of addresses, from files that the real reader reads. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createGeo, type Geo } from '../../src/store/geo.ts';
import { createLogRecorder } from '../support/log.ts';
import { inCountry, mmdbFrom } from '../support/mmdb.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

/** A database in a file. */
const setUp = (t: TestContext, bytes: Buffer) => {
  const path = join(makeTemporaryDirectory(t), 'countries.mmdb');
  writeFileSync(path, bytes);
  const log = createLogRecorder();
  return { path, log, create: () => createGeo({ log }, { path }) };
};

describe('a country', () => {
  const RECORDS = {
    '192.0.2.0/24': inCountry('FR'),
    '198.51.100.7/32': inCountry('DE'),
    '2001:db8::/32': inCountry('JP'),
    '203.0.113.0/25': { registered_country: { iso_code: 'US' } },
    '203.0.113.128/25': { continent: { code: 'EU' }, traits: { is_anonymous_proxy: 1 } },
    '100.64.0.0/10': { country: { iso_code: 'no such code' } },
  };
  const EXPECTED = [
    ['192.0.2.0', 'FR'],
    ['192.0.2.255', 'FR'],
    ['192.0.3.0', undefined],
    ['198.51.100.7', 'DE'],
    ['198.51.100.6', undefined],
    ['2001:db8::1', 'JP'],
    ['2001:db8:ffff::', 'JP'],
    ['2001:db9::1', undefined],
    ['127.0.0.1', undefined],
    ['10.0.0.1', undefined],
    ['::1', undefined],
    ['', undefined],
    ['localhost', undefined],
    ['2001:db8::1%eth0', undefined],
  ] as const;
  test('is that of the range around an address, and of no other', (t) => {
    const geo = setUp(t, mmdbFrom(RECORDS)).create();
    for (const [address, country] of EXPECTED) assert.equal(geo.countryOf(address), country, address);
  });

  test('is where the address is, not where its network is registered', (t) => {
    const geo = setUp(t, mmdbFrom(RECORDS)).create();
    for (const address of ['203.0.113.1', '203.0.113.129', '100.64.0.1'])
      assert.equal(geo.countryOf(address), undefined, address);
  });

  test('is in databases of cities as well', (t) => {
    const city = {
      city: { names: { en: 'Paris' } },
      location: { accuracy_radius: 5 },
      country: { iso_code: 'FR' },
    };
    const geo = setUp(t, mmdbFrom({ '192.0.2.0/24': city }, { databaseType: 'GeoIP2-City' })).create();
    assert.equal(geo.countryOf('192.0.2.1'), 'FR');
  });

  test('of an IPv6 address is not looked for in a database of IPv4', (t) => {
    // 32.1.13.184 has the bits that 2001:db8 begins with.
    const geo = setUp(t, mmdbFrom({ '32.1.13.184/32': inCountry('FR') }, { ipVersion: 4 })).create();
    assert.equal(geo.countryOf('32.1.13.184'), 'FR');
    assert.equal(geo.countryOf('2001:db8::1'), undefined);
  });

  test('is unknown where the file is damaged inside', (t) => {
    const bytes = mmdbFrom({ '192.0.2.0/24': inCountry('FR') });
    // Behind the tree and its zeros stand the records.
    const at = bytes.indexOf(Buffer.from('country')) - 2;
    bytes.fill(0xff, at, at + 40);
    assert.equal(setUp(t, bytes).create().countryOf('192.0.2.1'), undefined);
  });
});

/** As a copy in place leaves an old file when it stops before its metadata. */
const overwritten = (old: Buffer, next: Buffer): Buffer => {
  const at = old.indexOf('MaxMind.com') - 3;
  return Buffer.concat([next.subarray(0, at), old.subarray(at)]);
};

const without = (bytes: Buffer, key: string): Buffer => {
  bytes.fill('x', bytes.indexOf(key), bytes.indexOf(key) + key.length);
  return bytes;
};

describe('a database that cannot be used is named', () => {
  const FAULTS: [title: string, bytes: Buffer, problem: RegExp][] = [
    ['an empty file', Buffer.alloc(0), /countries\.mmdb is no MaxMind file/],
    [
      'another kind of file',
      Buffer.from('not a database at all, but a page that was downloaded'),
      /no MaxMind file/,
    ],
    [
      'a new file, written over an old one as far as its middle',
      overwritten(
        mmdbFrom({ '192.0.2.0/24': inCountry('FR') }),
        mmdbFrom({ '192.0.2.0/30': inCountry('FR') }),
      ),
      /damaged, or still being written/,
    ],
    [
      'a file whose metadata are damaged',
      without(mmdbFrom({ '192.0.2.0/24': inCountry('FR') }), 'node_count'),
      /damaged/,
    ],
    ['half a file', mmdbFrom({ '192.0.2.0/24': inCountry('FR') }).subarray(0, 200), /no MaxMind file/],
    [
      'a database of networks',
      mmdbFrom({ '192.0.2.0/24': { autonomous_system_number: 64_496 } }, { databaseType: 'GeoLite2-ASN' }),
      /of the type GeoLite2-ASN, which knows no countries/,
    ],
  ];
  for (const [title, bytes, problem] of FAULTS)
    test(title, (t) => {
      const { create } = setUp(t, bytes);
      assert.throws(create, { code: 'GEOIP_DATABASE_INVALID', message: problem });
    });

  test('a missing file', (t) => {
    const { create, path } = setUp(t, Buffer.alloc(0));
    rmSync(path);
    assert.throws(create, { code: 'GEOIP_DATABASE_INVALID', message: /cannot be read \(ENOENT\)/ });
  });
});

describe('refreshing', () => {
  const replace = (path: string, bytes: Buffer) => {
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  };

  /** Looks twice, as the engine does within two seconds. */
  const settled = async (geo: Geo) => !(await geo.refresh()) && geo.refresh();

  test('takes up another file, and says so once', async (t) => {
    const { create, path, log } = setUp(t, mmdbFrom({ '192.0.2.0/24': inCountry('FR') }));
    const geo = create();
    assert.equal(await geo.refresh(), false);
    replace(path, mmdbFrom({ '192.0.2.0/24': inCountry('DE') }));
    assert.equal(await settled(geo), true);
    assert.equal(geo.countryOf('192.0.2.1'), 'DE');
    assert.equal(await geo.refresh(), false);
    assert.deepEqual(
      log.lines.map(({ message }) => message),
      ['the GeoIP database was reloaded'],
    );
  });

  test('keeps the old one when the new one is broken or gone, warns once, and takes up the next', async (t) => {
    const { create, path, log } = setUp(t, mmdbFrom({ '192.0.2.0/24': inCountry('FR') }));
    const geo = create();
    for (const spoil of [() => replace(path, Buffer.from('broken')), () => rmSync(path)]) {
      log.lines.length = 0;
      spoil();
      for (const _turn of [1, 2, 3]) assert.equal(await geo.refresh(), false);
      assert.equal(geo.countryOf('192.0.2.1'), 'FR');
      assert.deepEqual(
        log.lines.map(({ level, message }) => [level, message]),
        [['warn', 'the new GeoIP database is ignored, the old one stays']],
      );
    }
    replace(path, mmdbFrom({ '192.0.2.0/24': inCountry('DE') }));
    assert.equal(await settled(geo), true);
    assert.equal(geo.countryOf('192.0.2.1'), 'DE');
  });

  test('does not read a file that is still being written', async (t) => {
    const { create, path, log } = setUp(t, mmdbFrom({ '192.0.2.0/24': inCountry('FR') }));
    const geo = create();
    const next = mmdbFrom({ '192.0.2.0/24': inCountry('DE') });
    for (let end = 100; end < next.length; end += 100) {
      writeFileSync(path, next.subarray(0, end));
      assert.equal(await geo.refresh(), false);
      assert.equal(geo.countryOf('192.0.2.1'), 'FR');
    }
    writeFileSync(path, next);
    assert.equal(await settled(geo), true);
    assert.equal(geo.countryOf('192.0.2.1'), 'DE');
    assert.deepEqual(
      log.lines.map(({ message }) => message),
      ['the GeoIP database was reloaded'],
    );
  });

  test('reads once, however often it is asked meanwhile', async (t) => {
    const { create, path, log } = setUp(t, mmdbFrom({ '192.0.2.0/24': inCountry('FR') }));
    const geo = create();
    replace(path, mmdbFrom({ '192.0.2.0/24': inCountry('DE') }));
    await geo.refresh();
    assert.deepEqual(await Promise.all([geo.refresh(), geo.refresh()]), [true, false]);
    assert.equal(log.lines.length, 1);
  });
});
