/** What a restart costs those who use the engine: the story of `npm run bench:restart`, small. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureRestart } from '../../scripts/bench/restart.ts';
import { COMMAND } from './command.ts';

test('a restart under load cuts no download, and every agent comes back with its name', async () => {
  const cost = await measureRestart({ program: COMMAND, agentCount: 3, downstreamCount: 6 });
  assert.deepEqual(cost.downloads, { wholeCount: 6, cutCount: 0 });
  assert.ok(cost.requests.answeredCount > 0);
  assert.ok(cost.endedMs <= cost.listeningMs && cost.listeningMs <= cost.allAgentsMs, JSON.stringify(cost));
  assert.ok(cost.silenceMs > 0);
});
