/**
 * One run of h2load, and what it says about it.
 *
 * Why h2load and not wrk: it speaks HTTP/2 too, and names below `localhost` are not resolved by every system: h2load takes the address to
 * connect to apart from the name that it sends in SNI and Host.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Sample } from './figures.ts';
import { readMeter, type Subject, sinceReading } from './subject.ts';

/** Requests over connections that are kept. */
export interface Load {
  path: string;
  /** Of each answer's body. */
  bodyBytes: number;
  protocol: 'http/1.1' | 'h2';
  connections: number;
  /** Requests at once on each connection: HTTP/2 only. */
  streams?: number;
  /** So many requests, instead of requests for a time. */
  requests?: number;
  /** Before a timed run is measured: all handshakes must fall into it, or h2load never ends. A second if not given. */
  warmUpSeconds?: number;
}

const RUN_MS_MAX = 60_000;

/** Reads h2load's report. Throws where any request failed or was answered other than 2xx: such a run measures nothing. */
export const loadResultFromReport = (
  report: string,
  { bodyBytes, protocol }: Pick<Load, 'bodyBytes' | 'protocol'>,
): Pick<Sample, 'tls' | 'bodyBytes' | 'count'> => {
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
  const spoken = find(/Application protocol: (\S+)/)[1];
  if (spoken !== protocol) throw new Error(`h2load spoke ${spoken}, not ${protocol}`);
  // The bytes are counted from the warm-up on, the requests are not.
  if (Number(find(/\((\d+)\) data/)[1]) < done * bodyBytes)
    throw new Error(`h2load got bodies of less than ${bodyBytes} bytes:\n${report.slice(-1500)}`);
  return {
    count: done,
    bodyBytes: done * bodyBytes,
    tls: `${find(/TLS Protocol: (\S+)/)[1]} ${find(/Cipher: (\S+)/)[1]}`,
  };
};

const argumentsFrom = ({ host, port }: Subject, load: Load, seconds: number): string[] => {
  const warmUpMs = 1000 * (load.warmUpSeconds ?? 1);
  const amount =
    load.requests === undefined
      ? ['-D', `${Math.round(1000 * seconds)}ms`, `--warm-up-time=${warmUpMs}ms`]
      : ['-n', `${load.requests}`];
  const shape = load.protocol === 'h2' ? ['-m', `${load.streams}`] : ['--h1'];
  const where = [`--connect-to=127.0.0.1:${port}`, `https://${host}:${port}${load.path}`];
  return ['-t', '1', '-c', `${load.connections}`, ...shape, ...amount, ...where];
};

/** Puts a load on a subject, over TLS and kept connections, and meters the subject from the end of the warm-up to the last answer. */
export const runLoad = async (subject: Subject, load: Load, seconds: number): Promise<Sample> => {
  const command = argumentsFrom(subject, load, seconds);
  const child = spawn('h2load', command, { stdio: ['ignore', 'pipe', 'inherit'], timeout: RUN_MS_MAX });
  const closed = once(child, 'close');
  const lines: string[] = [];
  // A timed run without its mark has no start: its warm-up must not count.
  let before = load.requests === undefined ? undefined : readMeter(subject);
  let spent: ReturnType<typeof sinceReading> | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('Main benchmark duration is started')) before = readMeter(subject);
    const isOver = line.startsWith('Main benchmark duration is over') || line.startsWith('finished in');
    if (isOver && before) spent ??= sinceReading(subject, before);
    lines.push(line);
  }
  const [code] = await closed;
  if (code !== 0 || !spent)
    throw new Error(`h2load ${command.join(' ')} failed (${code}):\n${lines.slice(-10).join('\n')}`);
  return { ...spent, ...loadResultFromReport(lines.join('\n'), load) };
};

/** `nghttp2/1.52.0`. */
export const loadToolVersion = (): string =>
  execFileSync('h2load', ['--version'], { encoding: 'utf8' })
    .trim()
    .replace(/^h2load /, '');
