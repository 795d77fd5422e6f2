import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../src/base/errors.ts';
import { newAgentId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { createTruthLog } from '../../src/observe/truth-log.ts';
import { createRegistry } from '../../src/tunnel/registry.ts';
import { createFakeClock } from '../support/clock.ts';
import { createLogRecorder } from '../support/log.ts';

test('turns of tunnels are told with their reason, a few in a while, and what is left out is counted', () => {
  const clock = createFakeClock();
  const log = createLogRecorder();
  const registry = createRegistry(
    { clock, admit: () => {} },
    { engineHost: 'localhost', publicPort: () => 443 },
  );
  const tunnel = registry.open({ agentId: newAgentId(), credentialId: 'crd_1' }, { name: 'web' });
  const tell = createTruthLog({ clock, log });
  for (let count = 0; count < LIMITS.truthLogLinesMax + 30; count += 1)
    tell(tunnel, true, fail('DIAL_BACK_REFUSED'));
  assert.equal(log.lines.length, LIMITS.truthLogLinesMax);
  const [first] = log.lines;
  assert.deepEqual(
    [first?.level, first?.fields.name, first?.fields.code, first?.fields.tunnelId],
    ['warn', 'web', 'DIAL_BACK_REFUSED', tunnel.id],
  );
  clock.advance(LIMITS.truthLogMs);
  tell(tunnel, false, undefined);
  const last = log.lines.at(-1);
  assert.deepEqual([last?.level, last?.fields.untoldCount], ['info', 30]);
});
