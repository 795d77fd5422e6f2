/** From nothing to a published page with one command, and again with what that left. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { COMMAND, startCommand } from './command.ts';

test('quickstart publishes a page, prints lines that work as pasted, and does the same the second time', async (t) => {
  const cwd = makeTemporaryDirectory(t);
  const start = async () => {
    const command = startCommand(t, ['quickstart', '--dir', 'data', '--listen', '127.0.0.1:0'], { cwd });
    const [, curl = ''] = await command.says(/^ {2}(curl .*)$/m);
    await command.says(/Ctrl\+C stops the engine\./);
    return { command, curl };
  };
  const made = () =>
    ['ca.pem', 'agent-token', 'config.yaml'].map((name) => readFileSync(join(cwd, 'data', name), 'utf8'));
  const sh = (line: string) => spawnSync('sh', ['-c', line], { cwd, encoding: 'utf8', timeout: 20_000 });
  assert.equal(sh('command -v curl').status, 0, 'this test needs curl');

  const first = await start();
  const before = made();
  assert.equal(statSync(join(cwd, 'data', 'agent-token')).mode & 0o777, 0o600);
  assert.match(first.curl, /^curl --cacert data\/ca\.pem https:\/\/hello\.t\.localhost:\d+$/);
  const page = sh(`${first.curl} --silent --show-error --fail`);
  assert.equal(page.stderr, '');
  assert.match(page.stdout, /<h1>It works\.<\/h1>/);

  // The line for a port of one's own, as printed, but for the way this checkout is run.
  const [, program, flags = ''] = await first.command.says(/^ {2}(.+) (forward 3000 .*)$/m);
  assert.equal(program, COMMAND.length === 1 ? COMMAND[0] : 'npm run -s engine --');
  const agent = startCommand(t, flags.split(' '), { cwd });
  await agent.says(/^https:\/\/my-app\.t\.localhost:\d+$/m);
  assert.equal(await agent.kill('SIGINT'), 0);
  assert.equal(await first.command.kill('SIGINT'), 0);

  const second = await start();
  assert.deepEqual(made(), before, 'the second start uses what the first has made');
  assert.match(sh(`${second.curl} --silent --show-error --fail`).stdout, /It works/);
  const [, token = ''] = before;
  for (const { command } of [first, second])
    assert.ok(!`${command.stdout}${command.stderr}`.includes(token.trim()));
  assert.equal(await second.command.kill('SIGTERM'), 0);
});
