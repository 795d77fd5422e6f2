/** `doctor --deep`: what it sends through an engine that runs, and what it says when that does not come through. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { type Clock, createClock } from '../../src/base/time.ts';
import { checkFirstByte, checkUpload, checkWebSocket } from '../../src/cli/doctor-deep.ts';
import type { Check } from '../../src/cli/finding.ts';
import { loadConfig } from '../../src/config/load.ts';
import { runCommand } from './command.ts';
import { makeInstance } from './instance.ts';

/** The system's clock, on which the long silence is a short one. */
const createShortClock = (idleMs: number): Clock => {
  const clock = createClock();
  return { ...clock, after: (ms, call) => clock.after(ms === LIMITS.doctorIdleMs ? idleMs : ms, call) };
};

/** An engine with these settings, and what a check of it says. */
const start = async (t: TestContext, settings: Readonly<Record<string, string>> = {}) => {
  const instance = await makeInstance(t);
  const { port } = await instance.serve({ env: settings });
  const env = { ...settings, RSTREAM_ENGINE_TLS__LISTEN_ADDR: `127.0.0.1:${port}` };
  const context = {
    env,
    print: () => {},
    tell: () => {},
    stopSignal: new AbortController().signal,
    onHangup: () => {},
    stdin: process.stdin,
    stdout: process.stdout,
  };
  const loaded = loadConfig({ path: instance.files.config, env });
  const { config } = instance.files;
  return {
    config,
    env,
    verdictOf: async (check: Check, idleMs = 100) =>
      (await check({ ...loaded, clock: createShortClock(idleMs), context }))[0],
  };
};

test('a sound engine passes events, a large upload and a silent WebSocket', async (t) => {
  const { verdictOf, config, env } = await start(t);
  for (const [check, detail] of [
    [checkFirstByte, /^the first server-sent event came after \d+ ms$/],
    [checkUpload, /^100 MB were uploaded in [\d.]+ s, \d+ MB\/s$/],
    [checkWebSocket, /^a WebSocket that was silent for 60 s still carries what is sent$/],
  ] as const) {
    const result = await verdictOf(check);
    assert.equal(result?.verdict, 'ok', result?.detail);
    assert.match(result.detail, detail);
  }
  const args = ['doctor', '-c', config, '-o', 'json', '--deep', '--only', 'first-byte'];
  const { code, stdout } = await runCommand(t, args, { env });
  assert.equal(code, 0);
  assert.deepEqual(
    (JSON.parse(stdout) as { check: string; verdict: string }[]).map((found) => [found.check, found.verdict]),
    [['first-byte', 'ok']],
  );
});

test('an upload is as large as the engine allows, and an engine that ends silent streams is told of', async (t) => {
  const { verdictOf } = await start(t, {
    RSTREAM_ENGINE_LIMITS__REQUEST_BODY_BYTES: '1000000',
    RSTREAM_ENGINE_TIMEOUTS__STREAM_IDLE_SECONDS: '1',
  });
  assert.match((await verdictOf(checkUpload))?.detail ?? '', /^1 MB were uploaded/);
  // The engine looks once a second, and is two of them late at most.
  assert.deepEqual(await verdictOf(checkWebSocket, 3_500), {
    verdict: 'fault',
    detail: 'a WebSocket did not outlive 60 s of silence',
  });
});
