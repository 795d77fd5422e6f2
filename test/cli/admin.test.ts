/** `admin`: who may log in, said on the command line. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { createClock } from '../../src/base/time.ts';
import { createAdmins } from '../../src/store/admins.ts';
import { openDatabase } from '../../src/store/database.ts';
import { setUpStore } from './store-room.ts';

const PASSWORD = 'correct horse battery';
const HOME = { address: '192.0.2.1', agent: '' };

test('create prints a one-time link, alone on standard output, that sets a password', async (t) => {
  const { run, directory } = setUpStore(t, 'admin');
  const { printed, told } = await run(['create', '--name', 'owner']);
  assert.match(printed.join('\n'), /^https:\/\/localhost:9443\/#link=\w{40}$/);
  assert.match(told.join('\n'), /owner \(admin\).*works once/);
  assert.match(told.join('\n'), /admin\.enabled/);
  const link = new Secret(printed[0]!.split('=')[1]!);

  const database = openDatabase({ path: `${directory}/engine.db`, mode: 'open' });
  t.after(() => database.close());
  const admins = createAdmins({ database, clock: createClock() });
  await admins.redeemLink({ link, password: new Secret(PASSWORD) }, HOME);
  const { printed: second } = await run(['link']);
  assert.notEqual(second[0], printed[0]);
});

test('passwd takes the password from standard input, and says nothing of it', async (t) => {
  const { run, directory } = setUpStore(t, 'admin');
  await run(['create', '--name', 'owner']);
  const { all } = await run(['passwd', 'owner'], { input: `${PASSWORD}\n` });
  assert.equal(all, 'Set the password of owner.');
  const database = openDatabase({ path: `${directory}/engine.db`, mode: 'open' });
  t.after(() => database.close());
  await createAdmins({ database, clock: createClock() }).login(
    { name: 'owner', password: new Secret(PASSWORD) },
    HOME,
  );
  for (const name of ['engine.db', 'audit.db'])
    assert.ok(!readFileSync(`${directory}/${name}`, 'latin1').includes(PASSWORD));
  await assert.rejects(run(['passwd', 'owner'], { input: 'short\n' }), { code: 'ADMIN_INVALID' });
  await assert.rejects(run(['passwd', 'owner'], { input: '' }), { code: 'USAGE' });
});

test('list shows people and no secrets; remove keeps the last one with the role admin', async (t) => {
  const { run } = setUpStore(t, 'admin');
  await run(['create', '--name', 'owner']);
  await run(['create', '--name', 'guest', '--role', 'viewer']);
  const { printed } = await run(['list', '--json']);
  assert.deepEqual(
    JSON.parse(printed.join('')).map(({ name, role, has_password }: Record<string, unknown>) => [
      name,
      role,
      has_password,
    ]),
    [
      ['owner', 'admin', false],
      ['guest', 'viewer', false],
    ],
  );
  await assert.rejects(run(['link']), { code: 'USAGE' });
  await assert.rejects(run(['remove', 'owner']), { code: 'ADMIN_INVALID' });
  await run(['remove', 'guest']);
  const { printed: entries } = await run(['list', '--json'], { of: 'audit' });
  const told = JSON.parse(entries.join('\n')) as { action: string; name?: string; result: string }[];
  assert.deepEqual(
    told.reverse().map(({ action, name, result }) => `${action} ${name} ${result}`),
    [
      'admin.create owner ok',
      'admin.create guest ok',
      'admin.remove undefined ADMIN_INVALID',
      'admin.remove guest ok',
    ],
  );
});
