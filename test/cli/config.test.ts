/** `config show` and `config schema`. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Command } from 'commander';
import { registerConfig } from '../../src/cli/config.ts';
import { CONFIG_FIELDS } from '../../src/config/fields.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const SECRET = 'a-shared-secret-of-more-than-32-bytes';
const FILE = `engine:
  host: localhost
certs:
  static: {cert_file: cert.pem, key_file: key.pem}
auth:
  jwt:
    token_jwt_secret: ${SECRET}
policy:
  trusted_ips: [192.0.2.0/24, 198.51.100.7]
`;

const run = async (t: TestContext, args: string[], env: Record<string, string> = {}) => {
  const path = join(makeTemporaryDirectory(t), 'config.yaml');
  writeFileSync(path, FILE, { mode: 0o600 });
  const printed: string[] = [];
  const program = new Command().exitOverride();
  registerConfig(program, {
    env: { RSTREAM_ENGINE_CONFIG: path, ...env },
    print: (line) => printed.push(line),
    tell: (line) => assert.fail(line),
    stopSignal: new AbortController().signal,
    onHangup: () => {},
    stdin: process.stdin,
    stdout: process.stdout,
  });
  await program.parseAsync(['config', ...args], { from: 'user' });
  return printed.join('\n');
};

test('show says every setting with its value and where it was set, and no secret', async (t) => {
  const env = { RSTREAM_ENGINE_TLS__LISTEN_ADDR: '127.0.0.1:8443', RSTREAM_ENGINE_ENGINE__HOST: 'edge.test' };
  const text = await run(t, ['show'], env);
  const lines = text.split('\n').map((line) => line.split(/ {2,}/));
  assert.deepEqual(lines[0], ['SETTING', 'VALUE', 'ORIGIN']);
  assert.deepEqual(
    lines.slice(1).map(([key]) => key),
    CONFIG_FIELDS.map(({ key }) => key),
  );
  for (const wanted of [
    ['engine.host', 'edge.test', 'RSTREAM_ENGINE_ENGINE__HOST'],
    ['engine.log_level', 'info', 'default'],
    ['tls.listen_addr', '127.0.0.1:8443', 'RSTREAM_ENGINE_TLS__LISTEN_ADDR'],
    ['tls.public_port', 'none', 'default'],
    ['auth.jwt.token_jwt_secret', '"***"', 'line 7'],
    ['policy.trusted_ips', '[ 192.0.2.0/24, 198.51.100.7 ]', 'line 9'],
  ])
    assert.deepEqual(
      lines.find(([key]) => key === wanted[0]),
      wanted,
    );
  assert.ok(!text.includes(SECRET));
});

test('show -o json says the same to programs', async (t) => {
  const text = await run(t, ['show', '-o', 'json']);
  const settings: { key: string; value?: unknown; origin: string }[] = JSON.parse(text);
  const of = (wanted: string) => settings.find(({ key }) => key === wanted);
  assert.deepEqual(of('policy.trusted_ips'), {
    key: 'policy.trusted_ips',
    value: ['192.0.2.0/24', '198.51.100.7'],
    origin: 'line 9',
  });
  assert.deepEqual(of('auth.jwt.token_jwt_secret')?.value, '***');
  assert.deepEqual(of('tls.public_port'), { key: 'tls.public_port', origin: 'default' });
});

test('schema prints what the setting is, and says that secrets are not to be shown', async (t) => {
  const schema = JSON.parse(await run(t, ['schema']));
  assert.deepEqual(schema.required, ['engine', 'certs']);
  assert.match(schema.properties.engine.properties.host.description, /^Host name of the engine/);
  assert.equal(schema.properties.auth.properties.jwt.properties.token_jwt_secret.writeOnly, true);
  assert.doesNotMatch(JSON.stringify(schema), /"(?:doc|file|readOnly)":|"secret":(?:true|false)/);
});
