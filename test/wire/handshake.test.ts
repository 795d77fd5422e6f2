import { strict as assert } from 'node:assert';
import { describe, test } from 'node:test';
import { EngineError } from '../../src/base/errors.ts';
import {
  checkProtocolVersion,
  isLivenessAcceptable,
  negotiateLiveness,
  PROTOCOL_VERSION,
} from '../../src/wire/handshake.ts';

const wireCodeOf = (check: () => void): number => {
  try {
    check();
    return 0;
  } catch (error) {
    assert.ok(error instanceof EngineError);
    return error.row.wireCode;
  }
};

describe('protocol version', () => {
  const CASES: [version: string | undefined, wireCode: number][] = [
    [PROTOCOL_VERSION, 0],
    ['1.0.0', 0],
    ['1.3.0', 0],
    ['1.999999999.0', 0],
    [undefined, 2_010],
    ['', 2_010],
    ['1.4', 2_020],
    ['1.4.5.6', 2_020],
    ['v1.4.5', 2_020],
    ['1.04.5', 2_020],
    ['1.4.5-beta', 2_020],
    [' 1.4.5', 2_020],
    ['1.4.5\n', 2_020],
    ['1.4.1234567890', 2_020],
    ['0.9.0', 2_030],
    ['2.0.0', 2_030],
    ['10.0.0', 2_030],
  ];
  for (const [version, wireCode] of CASES)
    test(`${JSON.stringify(version)} gives ${wireCode || 'no refusal'}`, () => {
      assert.equal(
        wireCodeOf(() => checkProtocolVersion(version)),
        wireCode,
      );
    });
});

describe('liveness', () => {
  test('an agent that asks for none gets none', () => assert.equal(negotiateLiveness(undefined), undefined));

  const CASES: [intervalMs: number, timeoutMs: number][] = [
    [1_000, 15_000],
    [5_000, 15_000],
    [5_001, 15_003],
    [300_000, 900_000],
  ];
  for (const [heartbeatIntervalMs, heartbeatTimeoutMs] of CASES)
    test(`an interval of ${heartbeatIntervalMs} ms may be silent for ${heartbeatTimeoutMs} ms`, () => {
      const liveness = negotiateLiveness({ heartbeatIntervalMs });
      assert.deepEqual(liveness, { heartbeatIntervalMs, heartbeatTimeoutMs });
      assert.ok(isLivenessAcceptable(heartbeatIntervalMs, liveness));
    });

  for (const heartbeatIntervalMs of [0, 999, 300_001, 2 ** 32 - 1])
    test(`an interval of ${heartbeatIntervalMs} ms is refused`, () => {
      assert.equal(
        wireCodeOf(() => negotiateLiveness({ heartbeatIntervalMs })),
        2_000,
      );
    });

  test('an agent accepts no other interval, and a timeout between the interval and 15 minutes', () => {
    const accepts = (heartbeatIntervalMs: number, heartbeatTimeoutMs: number) =>
      isLivenessAcceptable(1_000, { heartbeatIntervalMs, heartbeatTimeoutMs });
    assert.ok(isLivenessAcceptable(1_000, undefined));
    assert.ok(accepts(1_000, 1_000));
    assert.ok(accepts(1_000, 900_000));
    assert.ok(!accepts(2_000, 60_000));
    assert.ok(!accepts(1_000, 999));
    assert.ok(!accepts(1_000, 900_001));
  });
});
