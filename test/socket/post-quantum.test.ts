/** X25519MLKEM768, on runtimes that have it and on those that have not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { checkPostQuantum, groupsFrom, hasPostQuantum } from '../../src/socket/post-quantum.ts';
import { readHello } from '../support/client-hello.ts';
import { ENGINE_HOST, PUBLISHED_HOST, startDoorstep } from '../support/doorstep.ts';

test('no mode offers a group that this runtime lacks, unless it was required', () => {
  for (const mode of ['off', 'prefer'] as const) createSecureContext({ ecdhCurve: groupsFrom(mode) });
  assert.equal(groupsFrom('off'), 'X25519:P-256:P-384');
  assert.equal(groupsFrom('require'), 'X25519MLKEM768');
  assert.equal(groupsFrom('prefer').startsWith('X25519MLKEM768/'), hasPostQuantum());
});

test('to require it is refused where the runtime lacks it, in one sentence', () => {
  for (const mode of ['off', 'prefer'] as const) checkPostQuantum(mode);
  const check = () => checkPostQuantum('require');
  if (hasPostQuantum()) check();
  else
    assert.throws(check, {
      code: 'POST_QUANTUM_UNAVAILABLE',
      message: `Post-quantum key exchange is required, but Node ${process.version} with OpenSSL ${process.versions.openssl} has no X25519MLKEM768.`,
    });
});

describe('a client without the group', () => {
  const INSUFFICIENT_SECURITY = Buffer.from([21, 3, 1, 0, 2, 2, 71]);

  for (const [name, hello] of [
    ['an agent', 'node20-agent-by-address'],
    ['the API', 'node20-tls12'],
  ] as const)
    test(`is served as ${name} where it is preferred`, async (t) => {
      const { connectTcp } = await startDoorstep(t, { postQuantum: 'prefer' });
      const client = connectTcp();
      client.write(readHello(hello));
      const [answer] = (await once(client, 'data')) as [Buffer];
      assert.equal(answer[0], 22, 'a handshake record');
    });

  // The doorstep itself can only be built where the runtime has the group; dispatch.test.ts has the table for all others.
  test('gets insufficient_security where it is required, for whatever it came', async (t) => {
    if (!hasPostQuantum()) return assert.throws(() => checkPostQuantum('require'));
    const { connectTls, connectTcp, log } = await startDoorstep(t, { postQuantum: 'require' });
    const agent = connectTcp();
    agent.write(readHello('node20-agent-by-address'));
    assert.deepEqual(((await once(agent, 'data')) as [Buffer])[0], INSUFFICIENT_SECURITY);
    for (const servername of [ENGINE_HOST, PUBLISHED_HOST]) {
      const client = connectTls({ servername, ecdhCurve: 'X25519:P-256' });
      const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
      assert.match(String(error.code), /INSUFFICIENT_SECURITY/);
    }
    assert.equal(log.withCode('POST_QUANTUM_REQUIRED').length, 3);
  });
});

test('a client with the group uses it, even where it guessed another, and is known to', async (t) => {
  if (!hasPostQuantum()) return assert.equal(groupsFrom('prefer'), groupsFrom('off'));
  for (const postQuantum of ['prefer', 'require'] as const) {
    const { connectTls, nextArrival } = await startDoorstep(t, { postQuantum });
    for (const ecdhCurve of ['X25519MLKEM768:X25519', 'X25519:X25519MLKEM768']) {
      const arriving = nextArrival();
      const client = connectTls({ servername: PUBLISHED_HOST, ecdhCurve });
      assert.equal((await arriving).connection.isPostQuantum, true);
      assert.equal((client.getEphemeralKeyInfo() as { name?: string }).name, 'X25519MLKEM768');
    }
  }
});

test('a connection without it is known to be without, whoever of both has not used it', async (t) => {
  const both = hasPostQuantum() ? 'X25519MLKEM768:P-256' : 'P-256';
  for (const [postQuantum, options] of [
    ['prefer', { ecdhCurve: 'X25519' }],
    ['prefer', { ecdhCurve: both, maxVersion: 'TLSv1.2' }],
    ['off', { ecdhCurve: both }],
  ] as const) {
    const { connectTls, nextArrival } = await startDoorstep(t, { postQuantum });
    const arriving = nextArrival();
    connectTls({ servername: PUBLISHED_HOST, ...options });
    assert.equal((await arriving).connection.isPostQuantum, false);
  }
});
