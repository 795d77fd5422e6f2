/** h2load against the published tunnel: twenty thousand requests each over HTTP/2 and HTTP/1.1, and not one may fail. */
import { runCommand } from '../interop/command.ts';
import type { Published } from './published.ts';
import { requireTool, runCases } from './tools.ts';

const REQUESTS = 20_000;
const RUN_MS = 300_000;

/** Runs it; returns what there is to tell, or throws every fault. */
export const runH2load = async ({ host, port }: Published): Promise<string> => {
  await requireTool('h2load', ['--version'], 'nghttp2-client');
  const load = async (flags: readonly string[], protocol: string): Promise<void> => {
    const where = [`--connect-to=127.0.0.1:${port}`, `https://${host}:${port}/`];
    const { output } = await runCommand('h2load', ['-n', String(REQUESTS), ...flags, ...where], {
      timeoutMs: RUN_MS,
      output: 'keep',
    });
    const wanted = [
      `Application protocol: ${protocol}`,
      `${REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout`,
      `status codes: ${REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx`,
    ];
    const missing = wanted.filter((line) => !output.includes(line));
    if (missing.length > 0) throw new Error(`its report lacks "${missing.join('" and "')}":\n${output}`);
  };
  return runCases({
    'HTTP/2, 8 connections with 16 streams each': () => load(['-c', '8', '-m', '16'], 'h2'),
    'HTTP/1.1, 32 connections': () => load(['--h1', '-c', '32'], 'http/1.1'),
  });
};
