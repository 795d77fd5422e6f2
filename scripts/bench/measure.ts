/**
 * Interleaved rounds of subject and reference, and what they say.
 *
 * Why interleaved, and why ratios round by round: a shared machine's speed drifts over minutes, and both sides of a ratio taken within seconds
 * of each other drift together. The median ignores the odd round that a neighbour spoiled; the spread shows that there was one.
 */
import { figureKind, type Sample } from './figures.ts';
import type { Subject } from './subject.ts';
import type { Aim, Workload } from './workloads.ts';

/** One round. */
export interface Round {
  engine: Sample;
  nginx: Sample;
}

/** Median and range of one figure over all rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** One figure over all rounds. */
export interface Figure extends Aim {
  engine: Spread;
  nginx: Spread;
  /** Of each round: engine to nginx. */
  ratio: Spread;
  /** Medians of what went through meanwhile, for figures of cost. */
  rate?: { unit: string; engine: number; nginx: number };
}

/** A workload's rounds and their summary. */
export interface Measurement {
  name: string;
  what: string;
  figures: Figure[];
  rounds: Round[];
}

/** Median and range; the mean of the middle two where the count is even. */
export const spreadFromValues = (values: number[]): Spread => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
};

/** One figure out of the rounds. */
export const figureFromRounds = (rounds: Round[], aim: Aim): Figure => {
  const { of, rate } = figureKind(aim.unit);
  const over = (value: (round: Round) => number): Spread => spreadFromValues(rounds.map(value));
  return {
    ...aim,
    engine: over(({ engine }) => of(engine)),
    nginx: over(({ nginx }) => of(nginx)),
    ratio: over(({ engine, nginx }) => of(engine) / of(nginx)),
    ...(rate && {
      rate: {
        unit: rate.unit,
        engine: over(({ engine }) => rate.of(engine)).median,
        nginx: over(({ nginx }) => rate.of(nginx)).median,
      },
    }),
  };
};

/** How much to measure. */
export interface Amount {
  rounds: number;
  /** Of each round and side, for workloads that run for a time. */
  seconds: number;
  /** Before the first round, for each side. */
  warmUpSeconds: number;
}

/** Warms both subjects up with a run each, then measures them in turn. `onRound` hears of each round as it ends. */
export const measure = async (
  { name, what, figures, run }: Workload,
  { engine, nginx }: { engine: Subject; nginx: Subject },
  amount: Amount,
  onRound: (round: Round) => void,
): Promise<Measurement> => {
  if (amount.warmUpSeconds > 0)
    for (const subject of [engine, nginx]) await run(subject, amount.warmUpSeconds);
  const rounds: Round[] = [];
  while (rounds.length < amount.rounds) {
    // Who goes first alternates: whatever going second costs or spares, both have it equally often.
    const isEngineFirst = rounds.length % 2 === 0;
    const first = await run(isEngineFirst ? engine : nginx, amount.seconds);
    const second = await run(isEngineFirst ? nginx : engine, amount.seconds);
    const round = isEngineFirst ? { engine: first, nginx: second } : { engine: second, nginx: first };
    rounds.push(round);
    onRound(round);
  }
  return { name, what, figures: figures.map((aim) => figureFromRounds(rounds, aim)), rounds };
};
