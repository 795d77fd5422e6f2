import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PROTOCOL_VERSION } from '../../src/wire/handshake.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('the generated file is what protocol.proto gives', () => {
  const args = ['--import', 'tsx', 'scripts/generate-protocol.ts', '--check'];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('the version that we announce is the one that protocol.proto writes down', () => {
  const proto = readFileSync(`${root}/src/wire/protocol.proto`, 'utf8');
  assert.ok(proto.includes(`protocol version ${PROTOCOL_VERSION},`));
});
