import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { createClientHelloParser } from '../../src/socket/client-hello.ts';
import { groupNamesFrom } from '../../src/socket/group-names.ts';
import { readHello } from '../support/client-hello.ts';

test('groups are named in the order of the client, and numbers stand for those without a name', () => {
  assert.equal(groupNamesFrom([0x11ec, 0x1d, 0x17, 0x6399]), 'X25519MLKEM768 x25519 secp256r1 6399');
  assert.equal(groupNamesFrom([0x1f]), '001f');
  assert.equal(groupNamesFrom([]), '');
});

test('a client of today offers none that has no name', () => {
  for (const name of ['node20-http', 'node26-post-quantum', 'go-agent']) {
    const hello = createClientHelloParser().push(readHello(name));
    const names = groupNamesFrom(hello?.groups ?? []).split(' ');
    assert.ok(names[0], name);
    assert.deepEqual(
      names.filter((text) => /^[0-9a-f]{4}$/.test(text)),
      [],
      name,
    );
  }
});

test('a hello full of groups makes no long text', () => {
  const groups = new Array<number>(8_000).fill(0x1d);
  assert.equal(groupNamesFrom(groups).split(' ').length, LIMITS.recordedGroupsMax);
});
