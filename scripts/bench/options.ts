/**
 * The bench's command line: what to run, and how much of it.
 */
import { parseArgs } from 'node:util';
import type { Amount } from './measure.ts';
import type { RuntimeName } from './runtime.ts';
import { type Workload, workloadsWith } from './workloads.ts';

/** Flags of Node that the package starts the engine with. */
export const SHIPPED_NODE_FLAGS = '--max-semi-space-size=2';

/** What `--help` prints. */
export const USAGE = `usage: npm run bench -- [options]
  --node 26|system   the Node that runs the engine (26)
  --only NAME        this row alone; repeatable; writes no result
  --rounds N         rounds of each row (5)
  --seconds N        length of a round (2)
  --node-flags=F     flags of Node for the engine, separated by spaces (${SHIPPED_NODE_FLAGS}, as the package starts it)
  --profile          profile the engine under each row and print where its time goes; measures nothing
  --stand-in         a second nginx instead of the engine: shows this machine's noise, writes no result
  --smoke            tiny figures that prove nothing but that the bench runs; writes no result
  --render           only render docs/benchmarks.md from the newest result and notes.md
  --help             this text
rows: ${workloadsWith(0, false)
  .map(({ name }) => name)
  .join(' ')}`;

/** What to do. */
export type Mode = 'measure' | 'profile' | 'stand-in' | 'render' | 'help';

/** The command line, checked. */
export interface BenchOptions {
  mode: Mode;
  runtimeName: RuntimeName;
  workloads: Workload[];
  bulkBytes: number;
  amount: Amount;
  nodeFlags: string[];
  /** Whether all was measured, at full length. */
  isWorthKeeping: boolean;
}

const MIB = 2 ** 20;
const SMOKE: Amount = { rounds: 1, seconds: 0.25, warmUpSeconds: 0 };

const positive = (flag: string, text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${flag} wants a whole number from 1, not ${text}`);
  return value;
};

const pick = (workloads: Workload[], names: string[]): Workload[] => {
  const unknown = names.find((name) => !workloads.some((workload) => workload.name === name));
  if (unknown !== undefined)
    throw new Error(`--only wants one of ${workloads.map(({ name }) => name).join(', ')}, not ${unknown}`);
  return workloads.filter(({ name }) => names.length === 0 || names.includes(name));
};

/** Reads the command line. Throws one sentence on what is wrong with it. */
export const optionsFromArguments = (args: string[]): BenchOptions => {
  const { values } = parseArgs({
    args,
    options: {
      node: { type: 'string', default: '26' },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      'node-flags': { type: 'string', default: SHIPPED_NODE_FLAGS },
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
  const amount = {
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    warmUpSeconds: 1,
  };
  // 8 x 256 MiB = 2 GiB a round: two to four seconds of CPU, hundreds of clock ticks.
  const bulkBytes = (values.smoke ? 4 : 256) * MIB;
  return {
    mode: modes[0] ?? 'measure',
    runtimeName: values.node,
    workloads: pick(workloadsWith(bulkBytes, values.smoke), values.only),
    bulkBytes,
    amount: values.smoke ? SMOKE : amount,
    nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
    isWorthKeeping: !values.smoke && values.only.length === 0,
  };
};
