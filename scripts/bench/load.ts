/**
 * One run of h2load, and what it says about it.
 *
 * Why h2load and not wrk: names below `localhost` are not resolved by every system, and h2load takes the address to connect to apart
 * from the name that it sends in SNI and Host.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

/** What to ask for, of whom. */
export interface Target {
  host: string;
  port: number;
}

/** A load: for a time, or a number of requests. */
export interface Load {
  path: string;
  connections: number;
  seconds?: number;
  requests?: number;
}

/** What came of it. */
export interface LoadResult {
  requests: number;
  bodyBytes: number;
  seconds: number;
  /** Mean time of a request, milliseconds, at this number of connections. */
  requestMsMean: number;
  /** Protocol version and cipher, for example `TLSv1.3 TLS_AES_256_GCM_SHA384`. */
  tls: string;
}

const UNIT_MS: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

const millisecondsFromText = (text: string): number => {
  const match = /^([\d.]+)(us|ms|s|m)$/.exec(text);
  if (!match) throw new Error(`h2load printed a time that the bench does not read: ${text}`);
  return Number(match[1]) * UNIT_MS[match[2]!]!;
};

/** Reads h2load's report. Throws where any request failed or was answered other than 2xx: such a run measures nothing. */
export const loadResultFromReport = (report: string): LoadResult => {
  const find = (pattern: RegExp): RegExpExecArray => {
    const match = pattern.exec(report);
    if (!match) throw new Error(`h2load's report lacks ${pattern}:\n${report.slice(-1500)}`);
    return match;
  };
  const [, done, succeeded, failed, errored, timedOut] = find(
    /requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/,
  ).map(Number);
  if (!done || done !== succeeded || failed || errored || timedOut)
    throw new Error(`h2load counted faults:\n${report.slice(-1500)}`);
  return {
    requests: done,
    bodyBytes: Number(find(/\((\d+)\) data/)[1]),
    seconds: millisecondsFromText(find(/finished in ([^,]+),/)[1]!) / 1000,
    requestMsMean: millisecondsFromText(find(/time for request: +\S+ +\S+ +(\S+)/)[1]!),
    tls: `${find(/TLS Protocol: (\S+)/)[1]} ${find(/Cipher: (\S+)/)[1]}`,
  };
};

/** Runs a load against a target over HTTP/1.1 and TLS, keep-alive. */
export const runLoad = async ({ host, port }: Target, load: Load): Promise<LoadResult> => {
  const amount = load.seconds === undefined ? ['-n', `${load.requests}`] : ['-D', `${load.seconds}`];
  const shape = ['--h1', '-t', '1', '-c', `${load.connections}`, ...amount];
  const where = [`--connect-to=127.0.0.1:${port}`, `https://${host}:${port}${load.path}`];
  const { stdout } = await promisify(execFile)('h2load', [...shape, ...where], { timeout: 300_000 });
  return loadResultFromReport(stdout);
};

/** `nghttp2/1.52.0`. */
export const loadToolVersion = (): string =>
  execFileSync('h2load', ['--version'], { encoding: 'utf8' })
    .trim()
    .replace(/^h2load /, '');
