/** Raw connections whose tunnel is not, or is no longer, what the doorstep took it for. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import type { TunnelProperties } from '../../src/base/tunnel-properties.ts';
import { createDuplexPair } from '../support/duplex-pair.ts';
import { eventually } from '../support/eventually.ts';
import { CONNECTION, settled, startEdge } from './start-edge.ts';

const OWNER = { agentId: 'agt_1' as never, credentialId: 'crd_1' };
const TERMINATED = { protocol: 'tls', tlsAlpns: ['echo/1', 'echo/2'] };
const RAW = { ...CONNECTION, serverName: 'raw.t.localhost' };

/** A terminated connection to what is published as `raw` by then. */
const connectRaw = (t: TestContext, published: TunnelProperties | undefined, alpnProtocol?: string) => {
  const edge = startEdge(t);
  if (published) edge.registry.open(OWNER, { hostname: 'raw', ...published });
  const [ours, theirs] = createDuplexPair();
  t.after(() => theirs.destroy());
  theirs.on('error', () => {}).resume();
  edge.edge.acceptTerminated(ours, { ...RAW, alpnProtocol });
  return { ...edge, theirs };
};

describe('a terminated connection', () => {
  for (const protocol of ['echo/1', 'echo/2'])
    test(`that has agreed on ${protocol}, which the tunnel names, is dialled for`, async (t) => {
      const { dial } = connectRaw(t, TERMINATED, protocol);
      (await dial(0)).refuse(fail('AGENT_GONE'));
    });

  test('is dialled for without a protocol where the tunnel names none', async (t) => {
    const { dial } = connectRaw(t, { protocol: 'tls' });
    (await dial(0)).refuse(fail('AGENT_GONE'));
  });

  for (const [title, code, published, protocol] of [
    // OpenSSL takes a second ClientHello without the ALPN of the first one.
    ['that has agreed on no protocol', 'ALPN_UNSUPPORTED', TERMINATED, undefined],
    ['that has agreed on a protocol of an earlier tunnel', 'ALPN_UNSUPPORTED', TERMINATED, 'echo/0'],
    [
      'whose name is passed through by now',
      'AGENT_GONE',
      { protocol: 'tls', tlsMode: 'passthrough' },
      'echo/1',
    ],
    ['whose name is one of HTTP by now', 'AGENT_GONE', { protocol: 'http' }, 'echo/1'],
    ['whose tunnel has gone', 'AGENT_GONE', undefined, 'echo/1'],
  ] as const)
    test(`${title} is broken off, which the log tells, and no agent hears of it`, async (t) => {
      const { theirs, dials, log } = connectRaw(t, published && { ...published }, protocol);
      await eventually(() => theirs.destroyed, 'it is broken off');
      await settled();
      assert.equal(dials.length, 0);
      assert.deepEqual(
        log.withCode(code).map(({ fields }) => fields.hostname),
        [RAW.serverName],
      );
    });
});
