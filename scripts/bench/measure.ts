/**
 * Interleaved rounds of subject and reference, and what they say: CPU seconds of one process per request or per GiB.
 *
 * Why interleaved, and why ratios round by round: a shared machine's speed drifts over minutes, and both sides of a ratio taken within seconds
 * of each other drift together. The median ignores the odd round that a neighbour spoiled; the spread shows that there was one.
 */
import { type Load, runLoad, type Target } from './load.ts';
import { cpuSeconds } from './process.ts';

/** A proxy that can be measured. */
export interface Subject extends Target {
  pid: number;
}

/** A load with the unit in which its cost is told. */
export interface Workload extends Load {
  name: string;
  unit: 'us/request' | 's/GiB';
  /** Greatest ratio to the reference that the project wants to see. */
  ratioAim: number;
}

/** One subject in one round. */
export interface Sample {
  cost: number;
  cpuSeconds: number;
  requests: number;
  bodyBytes: number;
  seconds: number;
  requestMsMean: number;
  tls: string;
}

/** One round. */
export interface Round {
  engine: Sample;
  nginx: Sample;
  ratio: number;
}

/** Median and range of one figure over all rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** A workload's rounds and their summary. */
export interface Measurement {
  workload: Workload;
  rounds: Round[];
  engine: Spread;
  nginx: Spread;
  ratio: Spread;
}

const GIB = 2 ** 30;

/** Median and range; the mean of the middle two where the count is even. */
export const spreadFromValues = (values: number[]): Spread => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
};

/** Puts one load on one subject and reads the CPU time of its process before and after. */
export const takeSample = async (subject: Subject, workload: Workload): Promise<Sample> => {
  const before = cpuSeconds(subject.pid);
  const result = await runLoad(subject, workload);
  const spent = cpuSeconds(subject.pid) - before;
  const cost =
    workload.unit === 'us/request' ? (spent * 1e6) / result.requests : spent / (result.bodyBytes / GIB);
  return { cost, cpuSeconds: spent, ...result };
};

/** Warms both subjects up with one run each, then measures them in turn. `onRound` hears of each round as it ends. */
export const measure = async (
  workload: Workload,
  engine: Subject,
  nginx: Subject,
  roundCount: number,
  onRound: (round: Round) => void,
): Promise<Measurement> => {
  await runLoad(engine, workload);
  await runLoad(nginx, workload);
  const rounds: Round[] = [];
  while (rounds.length < roundCount) {
    // Who goes first alternates: whatever going second costs or spares, both have it equally often.
    const isEngineFirst = rounds.length % 2 === 0;
    const first = await takeSample(isEngineFirst ? engine : nginx, workload);
    const second = await takeSample(isEngineFirst ? nginx : engine, workload);
    const [ours, theirs] = isEngineFirst ? [first, second] : [second, first];
    const round = { engine: ours, nginx: theirs, ratio: ours.cost / theirs.cost };
    rounds.push(round);
    onRound(round);
  }
  return {
    workload,
    rounds,
    engine: spreadFromValues(rounds.map((round) => round.engine.cost)),
    nginx: spreadFromValues(rounds.map((round) => round.nginx.cost)),
    ratio: spreadFromValues(rounds.map((round) => round.ratio)),
  };
};
