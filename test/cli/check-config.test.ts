/** The verdict on a configuration, and where it is printed. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { EngineError } from '../../src/base/errors.ts';
import { registerCheckConfig } from '../../src/cli/check-config.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/config/${name}`, import.meta.url));

const run = async (args: string[], env: Record<string, string> = {}) => {
  const printed: string[] = [];
  const told: string[] = [];
  const program = new Command().exitOverride();
  registerCheckConfig(program, {
    env,
    print: (line) => printed.push(line),
    tell: (line) => told.push(line),
    stopSignal: new AbortController().signal,
    onHangup: () => {},
    stdin: new PassThrough(),
    stdout: new PassThrough(),
  });
  await program.parseAsync(['check-config', ...args], { from: 'user' });
  return { printed, told };
};

test('says ok of a sound configuration', async () => {
  const path = fixture('valid/minimal.yaml');
  const expected = { printed: [`ok: ${path} is a valid configuration.`], told: [] };
  assert.deepEqual(await run(['--config', path]), expected);
  assert.deepEqual(await run(['-c', path]), expected);
  assert.deepEqual(await run([], { RSTREAM_ENGINE_CONFIG: path }), expected);
});

test('--print gives the configuration alone on standard output, secrets masked', async () => {
  const { printed, told } = await run(['--print', '-c', fixture('valid/every-setting.yaml')], {
    RSTREAM_ENGINE_TLS__LISTEN_ADDR: ':1',
  });
  assert.equal(printed.length, 1);
  assert.match(printed[0]!, /^engine:\n {2}host: edge\.example\.com\n/);
  assert.match(printed[0]!, /listen_addr: :1\n/);
  assert.match(printed[0]!, /token_jwt_secret: "\*\*\*"\n/);
  assert.match(told.at(-1)!, /^ok: /);
});

test('tells warnings', async () => {
  const { told } = await run(['-c', fixture('valid/minimal.yaml')], { RSTREAM_ENGINE_HTTP_ENABLED: 'true' });
  assert.deepEqual(told, [
    'warning: RSTREAM_ENGINE_HTTP_ENABLED is ignored; the setting is called RSTREAM_ENGINE_HTTP__ENABLED.',
  ]);
});

test('throws the faults of an unsound configuration', async () => {
  await assert.rejects(run(['-c', fixture('invalid/empty.yaml')]), (error) => {
    assert.ok(error instanceof EngineError);
    assert.equal(error.code, 'CONFIG_INVALID');
    assert.match(error.message, /^The configuration has faults:\n {2}engine\.host: is required/);
    return true;
  });
});
