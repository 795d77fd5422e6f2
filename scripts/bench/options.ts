/**
 * The bench's command line: what to run, and how much of it.
 */
import { parseArgs } from 'node:util';
import type { Workload } from './measure.ts';
import type { RuntimeName } from './runtime.ts';

/** What `--help` prints. */
export const USAGE = `usage: npm run bench -- [options]
  --node 26|system   the Node that runs the engine (26)
  --only small|bulk  one workload instead of both
  --rounds N         rounds of each workload (7)
  --seconds N        length of a small-answer round (5)
  --node-flags F     flags of Node for the engine, separated by spaces, to try what they change
  --profile          profile the engine under each workload and print where its time goes; measures nothing
  --stand-in         a second nginx instead of the engine: shows this machine's noise, writes no result
  --smoke            tiny figures that prove nothing but that the bench runs; writes no result
  --render           only render docs/benchmarks.md from the newest results
  --help             this text`;

/** What to do. */
export type Mode = 'measure' | 'profile' | 'stand-in' | 'render' | 'help';

/** The command line, checked. */
export interface BenchOptions {
  mode: Mode;
  runtimeName: RuntimeName;
  workloads: Workload[];
  /** Set where `--only` left a workload out. */
  only: string | undefined;
  bulkBytes: number;
  roundCount: number;
  nodeFlags: string[];
  isSmoke: boolean;
}

const MIB = 2 ** 20;

const positive = (flag: string, text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${flag} wants a whole number from 1, not ${text}`);
  return value;
};

const workloadsFromFlags = (isSmoke: boolean, seconds: number): Workload[] => [
  {
    name: 'small',
    path: '/',
    connections: isSmoke ? 4 : 32,
    seconds: isSmoke ? 1 : seconds,
    unit: 'us/request',
    ratioAim: 3,
  },
  // 8 x 256 MiB = 2 GiB a round: two to four seconds of CPU, hundreds of clock ticks.
  { name: 'bulk', path: '/bulk', connections: 4, requests: 8, unit: 's/GiB', ratioAim: 1.5 },
];

/** Reads the command line. Throws one sentence on what is wrong with it. */
export const optionsFromArguments = (args: string[]): BenchOptions => {
  const { values } = parseArgs({
    args,
    options: {
      node: { type: 'string', default: '26' },
      only: { type: 'string' },
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '5' },
      'node-flags': { type: 'string', default: '' },
      profile: { type: 'boolean', default: false },
      'stand-in': { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      render: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const modes = (['help', 'render', 'profile', 'stand-in'] as const).filter((mode) => values[mode]);
  if (modes.length > 1) throw new Error(`--${modes.join(' and --')} exclude each other`);
  if (values.node !== '26' && values.node !== 'system')
    throw new Error(`--node wants 26 or system, not ${values.node}`);
  const isSmoke = values.smoke;
  const workloads = workloadsFromFlags(isSmoke, positive('--seconds', values.seconds)).filter(
    ({ name }) => values.only === undefined || values.only === name,
  );
  if (workloads.length === 0) throw new Error(`--only wants small or bulk, not ${values.only}`);
  return {
    mode: modes[0] ?? 'measure',
    runtimeName: values.node,
    workloads,
    only: values.only,
    bulkBytes: (isSmoke ? 4 : 256) * MIB,
    roundCount: isSmoke ? 1 : positive('--rounds', values.rounds),
    nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
    isSmoke,
  };
};
