/** Looking on at exchanges: what it costs, what it is shown, and that nothing waits for it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Tap, Taps } from '../../src/edge/tap.ts';
import { requestText, startEdge } from './start-edge.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Writes down what it is shown. */
const createRecorder = () => {
  const told: string[] = [];
  const tap: Tap = {
    requestBody: (payload) => told.push(`request ${payload}`),
    requestEnd: (trailers) => told.push(`request end ${trailers}`),
    responseHead: ({ status }) => told.push(`head ${status}`),
    responseBody: (payload) => told.push(`response ${payload}`),
    responseEnd: (trailers) => told.push(`response end ${trailers}`),
    switched: ({ status }) => told.push(`switched ${status}`),
    failed: (code) => told.push(`failed ${code}`),
    abandoned: () => told.push('abandoned'),
  };
  return { told, tap };
};

describe('a tap', () => {
  test('costs an exchange one look at a flag as long as nobody inspects', async (t) => {
    let reads = 0;
    const taps: Taps = {
      get isOn() {
        reads += 1;
        return false;
      },
      open: () => assert.fail('nobody inspects'),
    };
    const edge = startEdge(t, { taps });
    const downstream = edge.connect();
    downstream.socket.write(`${requestText('PUT /', 'Content-Length: 5')}hello`);
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.endsWith('hello'));
    upstream.socket.write(OK);
    await downstream.until((text) => text.endsWith('ok'));
    assert.equal(reads, 1);
  });

  test('leaves an exchange alone that nobody looks on at', async (t) => {
    const edge = startEdge(t, { taps: { isOn: true, open: () => undefined } });
    const downstream = edge.connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    upstream.socket.write(OK);
    await downstream.until((text) => text.endsWith('ok'));
  });

  test('is shown a request that is sent a second time twice, and how the first sending failed', async (t) => {
    const { told, tap } = createRecorder();
    const edge = startEdge(t, { taps: { isOn: true, open: () => tap } });
    const downstream = edge.connect();
    downstream.socket.write(requestText('GET /warm-up'));
    const stale = (await edge.dial(0)).grant();
    await stale.until((text) => text.endsWith('\r\n\r\n'));
    stale.socket.write(OK);
    await downstream.until((text) => text.endsWith('ok'));
    told.length = 0;

    downstream.socket.write(requestText('GET /'));
    await stale.until((text) => text.includes('GET / '));
    stale.socket.destroy();
    const fresh = (await edge.dial(1)).grant();
    await fresh.until((text) => text.endsWith('\r\n\r\n'));
    fresh.socket.write(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n',
    );
    await downstream.until((text) => text.endsWith('x-sum: 1\r\n\r\n'));
    assert.deepEqual(told, [
      'request end ',
      'failed UPSTREAM_CLOSED',
      'request end ',
      'head 200',
      'response body',
      'response end x-sum,1',
    ]);
  });

  test('is told when the downstream leaves, and nothing after it', async (t) => {
    const { told, tap } = createRecorder();
    const edge = startEdge(t, { taps: { isOn: true, open: () => tap } });
    const downstream = edge.connect();
    downstream.socket.write(requestText('GET /'));
    const upstream = (await edge.dial(0)).grant();
    await upstream.until((text) => text.endsWith('\r\n\r\n'));
    downstream.socket.destroy();
    await upstream.until(() => upstream.socket.destroyed || upstream.isEnded || told.length > 1);
    assert.deepEqual(told, ['request end ', 'abandoned']);
  });

  test('cannot break an exchange without an answer when it throws', async (t) => {
    const taps: Taps = {
      isOn: true,
      open: () => {
        throw new Error('a fault of the inspector');
      },
    };
    const edge = startEdge(t, { taps });
    const downstream = edge.connect();
    downstream.socket.write(requestText('GET /'));
    (await edge.dial(0)).grant();
    await downstream.until((text) => text.startsWith('HTTP/1.1 500 '));
  });
});
