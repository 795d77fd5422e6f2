/**
 * HAProxy in front of the engine, whose authors wrote the PROXY protocol, and curl, which can send a header itself.
 *
 * Downstreams come from 127.0.0.5, and HAProxy reaches the engine from the address that it trusts, so the two cannot be confused.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from '../interop/command.ts';
import { freePort } from '../support/free-port.ts';
import { PROXY_ADDRESS, type Published } from './published.ts';
import { type Cases, requireTool, runCases } from './tools.ts';

const CASE_MS = 30_000;
const START_MS_MAX = 10_000;
const DOWNSTREAM_ADDRESS = '127.0.0.5';

/** How each server line of HAProxy asks for a header; crc32c makes a note (TLV) behind the addresses. */
const SENDERS = {
  v1: 'send-proxy',
  v2: 'send-proxy-v2',
  'v2 with a note': 'send-proxy-v2 proxy-v2-options crc32c',
} as const;

type Sender = keyof typeof SENDERS;

/** Health checks send a header without an address (LOCAL in version 2), all the time. */
const configFrom = (ports: Readonly<Record<Sender, number>>, { port }: Published): string =>
  [
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 30s',
    '  timeout server 30s',
    ...Object.entries(SENDERS).flatMap(([name, send]) => [
      `listen ${name.replaceAll(' ', '-')}`,
      `  bind 127.0.0.1:${ports[name as Sender]}`,
      `  server engine 127.0.0.1:${port} source ${PROXY_ADDRESS} ${send} check check-send-proxy inter 100`,
    ]),
    '',
  ].join('\n');

/** Runs curl for what the upstream has seen, through a port and from an address of this machine. */
const ask = async (
  { host, caFile }: Published,
  port: number,
  ...flags: string[]
): Promise<{ code: number | null; output: string }> =>
  runCommand(
    'curl',
    [
      '--silent',
      '--show-error',
      ...flags,
      '--resolve',
      `${host}:${port}:127.0.0.1`,
      '--cacert',
      caFile,
      `https://${host}:${port}/seen`,
    ],
    { timeoutMs: CASE_MS, output: 'keep' },
  );

const forwardedForIn = (output: string): string | undefined => {
  const { rawHeaders } = JSON.parse(output) as { rawHeaders: string[] };
  return rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === 'x-forwarded-for') + 1];
};

const casesOf = (published: Published, ports: Readonly<Record<Sender, number>>): Cases => {
  const through = Object.fromEntries(
    Object.entries(ports).flatMap(([name, port]) =>
      ['--http1.1', '--http2'].map((version) => [
        `HAProxy, ${name}, ${version}`,
        async () => {
          const { code, output } = await ask(published, port, '--interface', DOWNSTREAM_ADDRESS, version);
          assert.equal(code, 0, output);
          assert.equal(forwardedForIn(output), DOWNSTREAM_ADDRESS);
        },
      ]),
    ),
  );
  const direct = (...flags: string[]) => ask(published, published.port, ...flags);
  return {
    ...through,
    'curl, v1': async () => {
      const { code, output } = await direct('--interface', PROXY_ADDRESS, '--haproxy-protocol');
      assert.equal(code, 0, output);
      assert.equal(forwardedForIn(output), PROXY_ADDRESS);
    },
    'curl, trusted and without a header': async () =>
      assert.notEqual((await direct('--interface', PROXY_ADDRESS)).code, 0),
    'curl, not trusted and with a header': async () =>
      assert.notEqual((await direct('--haproxy-protocol')).code, 0),
  };
};

const isListening = async (published: Published, port: number): Promise<boolean> =>
  (await ask(published, port, '--interface', DOWNSTREAM_ADDRESS)).code === 0;

/** Runs all cases; returns what there is to tell, or throws every fault. */
export const runHaproxy = async (published: Published): Promise<string> => {
  await requireTool('haproxy', ['-v'], 'haproxy');
  await requireTool('curl', ['--version'], 'curl');
  const ports = {
    v1: await freePort(),
    v2: await freePort(),
    'v2 with a note': await freePort(),
  };
  const file = join(published.directory, 'haproxy.cfg');
  writeFileSync(file, configFrom(ports, published));
  // -db: stay in the foreground, as one process.
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const kill = () => void child.kill();
  process.once('exit', kill);
  try {
    const deadline = performance.now() + START_MS_MAX;
    while (!(await isListening(published, ports.v2))) {
      assert.ok(performance.now() < deadline && child.exitCode === null, 'haproxy does not serve');
      await sleep(50);
    }
    return await runCases(casesOf(published, ports));
  } finally {
    kill();
    await exited;
    process.off('exit', kill);
  }
};
