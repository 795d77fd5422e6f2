/**
 * The truth light: asks idle tunnels from time to time whether they work, and says of every tunnel what is known.
 *
 * Flow: it looks for tunnels that are due (probeLookMs); the lobby's `probe` asks them; standing.ts judges what came of it.
 * When one is due: soon after it opened if it publishes HTTP, after two intervals if not; then once an interval since it was last asked or
 * last heard, a quarter of that while a failure may be a mishap. Each wait is drawn anew between half and the whole, so that thousands that
 * opened together drift apart.
 * Invariant: a tunnel that carries traffic is not asked. None is asked twice at once, and those who waited longest come first. A failure
 * that says nothing about the tunnel, because it is the engine's own or bytes came through meanwhile, changes nothing.
 * Limits: probesMax, probesPerAgentMax.
 */
import { type EngineError, type ErrorCode, engineErrorFrom } from '../base/errors.ts';
import type { AgentId, TunnelId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { LabelsOf } from '../base/metrics.ts';
import { type Clock, every, inBackground } from '../base/time.ts';
import { isProbeRefused } from '../tunnel/property-rules.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { createStanding, type Standing, type TruthState } from './standing.ts';

/** What is known of a tunnel; times in milliseconds since 1970. */
export interface Truth {
  readonly state: TruthState;
  /** Absent as long as nothing was proved. */
  readonly lastProof?: { readonly at: number; readonly how: 'traffic' | 'probe' };
  readonly lastFailure?: { readonly at: number; readonly code: ErrorCode; readonly sentence: string };
}

export type ProbeOutcome = LabelsOf<'rstream_engine_probes_total'>['outcome'];

export interface ProbesNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Pick<TunnelRegistry, 'list' | 'onOpened' | 'onClosed'>;
  /** Asks one tunnel; rejects when it does not answer, and settles within a deadline of its own or when `signal` aborts. */
  probe(tunnel: Tunnel, signal: AbortSignal): Promise<void>;
  /** Told when a tunnel goes down, and when it is online again. */
  onTurn(tunnel: Tunnel, isDown: boolean, cause: EngineError | undefined): void;
  count(outcome: ProbeOutcome): void;
  random?(): number;
}

interface Watched {
  readonly tunnel: Tunnel;
  readonly standing: Standing;
  /** When it was opened, or last asked: the begin of a probe while that runs, its end after that. */
  askedMs: number;
  /** The part of the full wait that this one takes. */
  share: number;
  /** Whether it was never asked. */
  isNew: boolean;
  /** Whether it was last told to be down. */
  isDown: boolean;
  /** While it is asked. */
  stop: AbortController | undefined;
}

/**
 * A published web service gets requests from anybody at any time. Behind other tunnels may be a script that accepts one stream and leaves:
 * it must have had time to get the one that it is there for.
 */
const isOpenToAnybody = ({ properties }: Tunnel): boolean =>
  properties.publish && properties.protocol === 'http';

export type Probes = ReturnType<typeof createProbes>;

/** @param options.intervalMs `probes.interval_seconds` */
export const createProbes = (needs: ProbesNeeds, { intervalMs }: { readonly intervalMs: number }) => {
  const { clock, log, registry, random = Math.random } = needs;
  // Whoever was asked is put behind the others.
  const watched = new Map<TunnelId, Watched>();
  // Those that were due at the last look and have to wait for their turn. With each answer only these are asked for, not all that there are.
  let due: Watched[] = [];
  const countByAgent = new Map<AgentId, number>();
  let runningCount = 0;
  let isStopped = false;

  const newShare = () => (1 + random()) / 2;

  const watch = (tunnel: Tunnel) => {
    if (isProbeRefused(tunnel.properties)) return;
    watched.set(tunnel.id, {
      tunnel,
      standing: createStanding(tunnel.pulse, intervalMs),
      askedMs: clock.elapsed(),
      share: newShare(),
      isNew: true,
      isDown: false,
      stop: undefined,
    });
  };

  const isDue = ({ tunnel, standing, askedMs, share, isNew, stop }: Watched, nowMs: number): boolean => {
    if (stop) return false;
    const isUnclear = standing.failureCount > 0 && standing.failureCount < LIMITS.probeFailuresMax;
    const isUnheard = isNew && standing.proofMs === Number.NEGATIVE_INFINITY;
    const fullMs = isUnclear ? intervalMs / 4 : intervalMs;
    const firstMs = isOpenToAnybody(tunnel) ? Math.min(LIMITS.firstProbeMsMax, fullMs) : 2 * intervalMs;
    const waitMs = isUnheard ? firstMs : fullMs;
    return nowMs - Math.max(askedMs, tunnel.pulse.atMs) >= waitMs * share;
  };

  /** Of traffic that brings a tunnel back nobody tells. */
  const noteTurn = (entry: Watched, nowMs: number) => {
    const { tunnel, standing } = entry;
    const isDown = standing.failureCount >= LIMITS.probeFailuresMax;
    if (isDown === entry.isDown || (!isDown && standing.stateAt(nowMs) !== 'online')) return;
    entry.isDown = isDown;
    needs.onTurn(tunnel, isDown, isDown ? standing.lastFailure?.error : undefined);
  };

  const settle = (entry: Watched, error: EngineError | undefined) => {
    const nowMs = clock.elapsed();
    const wasHeard = entry.tunnel.pulse.atMs >= entry.askedMs;
    const isInconclusive = error !== undefined && (error.row.source === 'engine' || wasHeard);
    entry.askedMs = nowMs;
    entry.share = newShare();
    entry.isNew = false;
    if (!error) entry.standing.proved(nowMs);
    else if (!isInconclusive) entry.standing.failed(nowMs, error);
    if (error?.code === 'INTERNAL') log.error({ tunnelId: entry.tunnel.id, error }, 'a probe failed');
    needs.count(error ? (isInconclusive ? 'inconclusive' : 'failed') : 'proved');
    noteTurn(entry, nowMs);
  };

  const countOf = (agentId: AgentId) => countByAgent.get(agentId) ?? 0;
  const move = (agentId: AgentId, by: 1 | -1) => {
    runningCount += by;
    const count = countOf(agentId) + by;
    if (count > 0) countByAgent.set(agentId, count);
    else countByAgent.delete(agentId);
  };

  const ask = async (entry: Watched): Promise<void> => {
    const { tunnel } = entry;
    const stop = new AbortController();
    entry.stop = stop;
    entry.askedMs = clock.elapsed();
    watched.delete(tunnel.id);
    watched.set(tunnel.id, entry);
    move(tunnel.agentId, 1);
    const error = await needs.probe(tunnel, stop.signal).then(() => undefined, engineErrorFrom);
    entry.stop = undefined;
    move(tunnel.agentId, -1);
    if (!stop.signal.aborted) settle(entry, error);
    askNext();
  };

  const hasRoom = ({ tunnel }: Watched) =>
    runningCount < LIMITS.probesMax && countOf(tunnel.agentId) < LIMITS.probesPerAgentMax;
  const begin = (entry: Watched) =>
    inBackground(ask(entry), (error) => log.error({ error }, 'probing failed'));

  /** A place is free: whoever of those that wait may have it. */
  const askNext = () => {
    for (let at = due.findIndex(hasRoom); at >= 0; at = due.findIndex(hasRoom)) {
      const [next] = due.splice(at, 1);
      // It may have closed, or been heard, since the look.
      if (!next || watched.get(next.tunnel.id) !== next || !isDue(next, clock.elapsed())) continue;
      return begin(next);
    }
  };

  const look = () => {
    if (isStopped) return;
    const nowMs = clock.elapsed();
    const found: Watched[] = [];
    for (const entry of watched.values()) {
      if (entry.isDown) noteTurn(entry, nowMs);
      if (isDue(entry, nowMs)) found.push(entry);
    }
    due = found.filter((entry) => {
      const isTurn = hasRoom(entry);
      if (isTurn) begin(entry);
      return !isTurn;
    });
  };

  for (const tunnel of registry.list()) watch(tunnel);
  const unfollow = [
    registry.onOpened(watch),
    registry.onClosed(({ id }) => {
      watched.get(id)?.stop?.abort();
      watched.delete(id);
    }),
  ];
  const looking = every(clock, LIMITS.probeLookMs, look);

  return {
    /** Undefined for a tunnel that is not open, and for one that is not to be probed: of that one nothing is claimed. */
    truthOf(id: string): Truth | undefined {
      const standing = watched.get(id as TunnelId)?.standing;
      return standing && truthFrom(standing, clock);
    },

    /** How many tunnels are in each state. */
    counts(): Readonly<Record<TruthState, number>> {
      const nowMs = clock.elapsed();
      const counts = { online: 0, suspect: 0, down: 0 };
      for (const { standing } of watched.values()) counts[standing.stateAt(nowMs)] += 1;
      return counts;
    },

    /** Probes that wait for their answer. */
    get runningCount(): number {
      return runningCount;
    },

    /** Asks nobody any more, and calls off what is asked; safe to repeat. */
    stop(): void {
      isStopped = true;
      due = [];
      looking.cancel();
      for (const cease of unfollow) cease();
      for (const { stop } of watched.values()) stop?.abort();
    },
  };
};

const truthFrom = (standing: Standing, clock: Clock): Truth => {
  const nowMs = clock.elapsed();
  const at = (elapsedMs: number) => Math.round(clock.now() - (nowMs - elapsedMs));
  const { proofMs, how, lastFailure } = standing;
  return {
    state: standing.stateAt(nowMs),
    ...(proofMs > Number.NEGATIVE_INFINITY && { lastProof: { at: at(proofMs), how } }),
    ...(lastFailure && {
      lastFailure: {
        at: at(lastFailure.atMs),
        code: lastFailure.error.code,
        sentence: lastFailure.error.message,
      },
    }),
  };
};
