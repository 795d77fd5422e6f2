import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';

test('every limit is a positive whole number', () => {
  for (const [name, value] of Object.entries(LIMITS)) assert.ok(Number.isInteger(value) && value > 0, name);
});

test('limits that lean on each other agree', () => {
  // A reply with all properties of a tunnel has to fit in a frame.
  assert.ok(LIMITS.propertiesBytesMax < LIMITS.frameBytesMax);
  // protocol.md 4.2: the timeout lies between the interval and 15 minutes, for every interval that may be asked for.
  assert.ok(LIMITS.livenessMsMax >= LIMITS.heartbeatMsMax);
  // protocol.md 4.4: the path of an agent with an interval of a second may pause for 4.2 s.
  assert.ok(LIMITS.livenessMsMin > 4_200);
  // A legacy agent may send every 5 minutes.
  assert.ok(LIMITS.legacySilenceMsMax > LIMITS.heartbeatMsMax);
  // The built-in agent's own heartbeat must be one that an engine accepts.
  assert.ok(LIMITS.agentHeartbeatMs >= LIMITS.heartbeatMsMin);
  assert.ok(LIMITS.agentDialsMax >= LIMITS.dialRequestsInFlightMax);
  // The longest line of PROXY version 1 fits where version 2 fits.
  assert.ok(LIMITS.proxyLineBytesMax < LIMITS.proxyHeaderBytesMax);
  assert.ok(LIMITS.reconnectMsMin < LIMITS.reconnectMsMax);
});
