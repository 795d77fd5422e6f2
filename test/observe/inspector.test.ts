/** The inspector alone: its bounds, its time and what is left when it ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TunnelId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { SeenExchange } from '../../src/observe/captured-exchange.ts';
import { createInspector, type InspectorOptions } from '../../src/observe/inspector.ts';
import { createFakeClock } from '../support/clock.ts';
import { exchangeOf, requestOf } from './traffic.ts';

const WEB = { id: 'tun_web' as TunnelId };
const SHOP = { id: 'tun_shop' as TunnelId };
const MINUTE_MS = 60_000;

const start = (options: Partial<InspectorOptions> = {}) => {
  const clock = createFakeClock();
  let close = (_tunnel: { id: TunnelId }) => {};
  const registry = {
    onClosed(listener: (tunnel: { id: TunnelId }) => void) {
      close = listener;
      return () => {};
    },
  };
  const inspector = createInspector(
    { clock, registry },
    { exchangesMax: 3, bodyBytesMax: 1_024, memoryBytesMax: 1_048_576, redactHeaders: [], ...options },
  );
  return { clock, inspector, closeTunnel: (tunnel: { id: TunnelId }) => close(tunnel) };
};

const seenOf = (target = '/', replay?: { of: string; as: string }): SeenExchange => ({
  connection: { ...exchangeOf().connection, ...(replay && { replay }) },
  request: { ...requestOf({ target }), upgrade: undefined, isConnect: false },
  waitMs: 2,
});

const head = { status: 200, reason: 'OK', headers: ['content-type', 'text/plain'] };

describe('the inspector', () => {
  test('captures nothing before it is started, and says so by one flag', () => {
    const { inspector } = start();
    assert.equal(inspector.taps.isOn, false);
    assert.equal(inspector.taps.open(WEB, seenOf()), undefined);
    inspector.start(WEB.id, MINUTE_MS);
    assert.equal(inspector.taps.isOn, true);
    assert.equal(inspector.taps.open(SHOP, seenOf()), undefined);
    assert.ok(inspector.taps.open(WEB, seenOf()));
  });

  test('keeps heads, both bodies, trailers and times of an exchange', () => {
    const { inspector, clock } = start();
    inspector.start(WEB.id, MINUTE_MS);
    const tap = inspector.taps.open(WEB, seenOf('/a?token=x'))!;
    tap.requestBody(Buffer.from('ask'));
    tap.requestEnd(['x-sum', '1']);
    clock.advance(8);
    tap.responseHead(head);
    tap.responseBody(Buffer.from('ans'));
    tap.responseBody(Buffer.from('wer'));
    clock.advance(10);
    assert.equal(inspector.list(WEB.id)[0]?.end, 'open');
    tap.responseEnd(['x-sum', '2']);
    tap.failed('UPSTREAM_CLOSED');
    const [found] = inspector.list(WEB.id);
    assert.ok(found);
    assert.deepEqual([found.end, found.code, found.request.target], ['complete', undefined, '/a?token=•••']);
    assert.deepEqual([found.waitMs, found.firstByteMs, found.durationMs], [2, 10, 20]);
    assert.deepEqual([String(found.requestBody.content), found.requestBody.isWhole], ['ask', true]);
    assert.equal(String(found.responseBody.content), 'answer');
    assert.deepEqual(found.responseBody.trailers, ['x-sum', '2']);
    assert.equal(inspector.find(WEB.id, found.id), found);
    assert.throws(() => inspector.find(WEB.id, 'exc_none'), { code: 'EXCHANGE_UNKNOWN' });
    assert.throws(() => inspector.list(SHOP.id), { code: 'NOT_INSPECTED' });
  });

  test('keeps the newest exchanges of a tunnel, the newest first', () => {
    const { inspector } = start();
    inspector.start(WEB.id, MINUTE_MS);
    for (const target of ['/1', '/2', '/3', '/4', '/5'])
      inspector.taps.open(WEB, seenOf(target))?.responseEnd([]);
    const targets = inspector.list(WEB.id).map(({ request }) => request.target);
    assert.deepEqual(targets, ['/5', '/4', '/3']);
    assert.deepEqual([inspector.state(WEB.id)?.count, inspector.state(WEB.id)?.droppedCount], [3, 2]);
  });

  test('keeps the beginning of a body that is too large, and its true length', () => {
    const { inspector } = start({ bodyBytesMax: 10 });
    inspector.start(WEB.id, MINUTE_MS);
    const tap = inspector.taps.open(WEB, seenOf())!;
    for (const part of ['0123', '4567', '89ab', 'cdef']) tap.responseBody(Buffer.from(part));
    tap.responseEnd([]);
    const { content, bytes, isWhole } = inspector.list(WEB.id)[0]!.responseBody;
    assert.deepEqual([String(content), bytes, isWhole], ['0123456789', 16, true]);
  });

  test('does not hold the buffers that it is shown', () => {
    const { inspector } = start();
    inspector.start(WEB.id, MINUTE_MS);
    const tap = inspector.taps.open(WEB, seenOf())!;
    const shown = Buffer.from('before');
    tap.requestBody(shown);
    shown.fill('x');
    assert.equal(String(inspector.list(WEB.id)[0]!.requestBody.content), 'before');
  });

  test('lets the oldest of all tunnels make room when memory runs out, also while they run', () => {
    const bodyBytesMax = 400_000;
    const { inspector } = start({ bodyBytesMax, exchangesMax: 100 });
    inspector.start(WEB.id, MINUTE_MS);
    inspector.start(SHOP.id, MINUTE_MS);
    const taps = [WEB, SHOP, WEB, SHOP].map((tunnel) => inspector.taps.open(tunnel, seenOf())!);
    for (const tap of taps) {
      tap.responseBody(Buffer.alloc(bodyBytesMax));
      assert.ok(inspector.heldBytes <= 1_048_576, `${inspector.heldBytes}`);
    }
    assert.deepEqual([inspector.list(WEB.id).length, inspector.list(SHOP.id).length], [1, 1]);
    const held = inspector.heldBytes;
    taps[0]?.responseBody(Buffer.alloc(1_000));
    assert.equal(inspector.heldBytes, held, 'what was dropped takes no more');
  });

  test('cuts a body short where everything else has made room already', () => {
    const { inspector } = start({ bodyBytesMax: 16_777_216 });
    inspector.start(WEB.id, MINUTE_MS);
    const tap = inspector.taps.open(WEB, seenOf())!;
    for (let i = 0; i < 40; i += 1) tap.responseBody(Buffer.alloc(65_536));
    const { content, bytes } = inspector.list(WEB.id)[0]!.responseBody;
    assert.equal(bytes, 40 * 65_536);
    assert.ok(content.length > 0 && content.length < 1_048_576, `${content.length}`);
    assert.ok(inspector.heldBytes <= 1_048_576);
  });

  test('ends by itself, can be read for an hour, and is gone then', () => {
    const { inspector, clock } = start();
    inspector.start(WEB.id, 15 * MINUTE_MS);
    inspector.taps.open(WEB, seenOf('/done'))!.responseEnd([]);
    const running = inspector.taps.open(WEB, seenOf('/running'))!;
    clock.advance(15 * MINUTE_MS);
    assert.equal(inspector.state(WEB.id)?.kind, 'ended');
    running.responseBody(Buffer.from('late'));
    assert.equal(inspector.taps.open(WEB, seenOf()), undefined);
    const [last] = inspector.list(WEB.id);
    assert.deepEqual([last?.end, last?.responseBody.bytes], ['unwatched', 0]);
    clock.advance(LIMITS.inspectionKeptMs);
    assert.equal(inspector.state(WEB.id), undefined);
    assert.deepEqual([inspector.taps.isOn, inspector.heldBytes, clock.pendingCount], [false, 0, 0]);
  });

  test('is started again with what is there, for a bounded time', () => {
    const { inspector, clock } = start();
    inspector.start(WEB.id, MINUTE_MS);
    inspector.taps.open(WEB, seenOf())!.responseEnd([]);
    clock.advance(2 * MINUTE_MS);
    const { endsAt, startedAt, kind, count } = inspector.start(WEB.id, 100 * LIMITS.inspectionMsMax);
    assert.deepEqual([kind, count, endsAt - startedAt], ['capturing', 1, LIMITS.inspectionMsMax]);
    assert.equal(clock.pendingCount, 1);
  });

  test('forgets everything when it is stopped, when the tunnel closes, and when the engine ends', () => {
    const { inspector, clock, closeTunnel } = start();
    for (const end of [() => inspector.stop(WEB.id), () => closeTunnel(WEB), () => inspector.close()]) {
      inspector.start(WEB.id, MINUTE_MS);
      const tap = inspector.taps.open(WEB, seenOf())!;
      end();
      tap.responseBody(Buffer.alloc(100));
      tap.responseEnd([]);
      assert.deepEqual([inspector.taps.isOn, inspector.heldBytes, clock.pendingCount], [false, 0, 0]);
    }
    assert.equal(inspector.stop(WEB.id), false);
  });

  test('captures a replay under the name that it was given, also after its time', () => {
    const { inspector, clock } = start();
    inspector.start(WEB.id, MINUTE_MS);
    clock.advance(MINUTE_MS);
    inspector.taps.open(WEB, seenOf('/', { of: 'exc_1', as: 'exc_2' }))!.responseEnd([]);
    assert.equal(inspector.find(WEB.id, 'exc_2').replayOf, 'exc_1');
  });

  test('inspects a bounded number of tunnels', () => {
    const { inspector } = start();
    for (let i = 0; i < LIMITS.inspectionsMax; i += 1) inspector.start(`tun_${i}` as TunnelId, MINUTE_MS);
    assert.throws(() => inspector.start(WEB.id, MINUTE_MS), { code: 'ADMIN_INVALID' });
    inspector.close();
  });
});
