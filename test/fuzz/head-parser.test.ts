/**
 * Our HTTP/1.1 parser against Node's, on damaged messages: what the edge takes, the next parser must read as the same messages, or
 * requests can be smuggled past it.
 *
 * `FUZZ_SEED=<seed> npm test -- fuzz` runs one case again; `FUZZ_MS` sets the time for each kind of message.
 */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import { compare, type Verdict } from './compare.ts';
import { REQUESTS, RESPONSES } from './corpus.ts';
import { mutate, split } from './mutate.ts';
import { createRequestOracle, type Oracle, readResponseWithNode, settled } from './node-parser.ts';
import { readRequests, readResponse } from './our-parser.ts';
import { createRandom } from './random.ts';
import type { Seen, SeenMessage } from './seen.ts';

const MS = Number(process.env.FUZZ_MS ?? 900);
const BATCH = 100;
const SEED = process.env.FUZZ_SEED;

interface Kind {
  readonly corpus: readonly string[];
  readonly ours: (pieces: readonly Buffer[]) => Seen;
  readonly node: (bytes: Buffer) => Oracle;
}

interface Outcome {
  readonly seed: number;
  readonly text: string;
  readonly verdict: Verdict | { readonly kind: 'meant'; readonly reason: string };
}

/** Where Node is stricter than the RFC and we mean not to be; each is harmless for the reason that its comment gives. */
const meantDifference = (text: string, ours: Seen, node: Seen): string | undefined => {
  // RFC 9110 9.1: methods are open-ended, and an upstream is free to know more of them than Node.
  const isMethodKnown = ({ start: [method] }: SeenMessage): boolean =>
    typeof method !== 'string' || METHODS.includes(method);
  if (!ours.messages.every(isMethodKnown)) return 'a method that Node does not know';
  // RFC 9110 5.6.3: white space around a value includes tabs. Values are passed on without it.
  if (/^(?:content-length|transfer-encoding):[^\r]*\t\r/im.test(text))
    return 'a tab behind a value that frames';
  // What an interim response says of its connection is not passed on.
  const isInterim = ({ start: [status] }: SeenMessage): boolean => typeof status === 'number' && status < 200;
  if (node.fault === 'Data after `Connection: close`' && node.messages.some(isInterim))
    return 'an interim response that says close';
  return undefined;
};

const runBatch = async ({ corpus, ours, node }: Kind, seeds: readonly number[]): Promise<Outcome[]> => {
  const cases = seeds.map((seed) => {
    const random = createRandom(seed);
    const text = mutate(corpus, random);
    const bytes = Buffer.from(text, 'latin1');
    return { seed, text, seen: ours(split(bytes, random)), oracle: node(bytes) };
  });
  await settled();
  return cases.map(({ seed, text, seen, oracle }) => {
    oracle.end();
    const reason = meantDifference(text, seen, oracle.seen);
    const verdict = reason === undefined ? compare(seen, oracle.seen) : ({ kind: 'meant', reason } as const);
    return { seed, text, verdict };
  });
};

const fuzz = async (t: TestContext, kind: Kind): Promise<void> => {
  const first = SEED === undefined ? Date.now() >>> 0 : Number(SEED);
  const size = SEED === undefined ? BATCH : 1;
  const differences = new Map<string, number>();
  let [count, takenCount] = [0, 0];
  const endMs = performance.now() + MS;
  do {
    const seeds = Array.from({ length: size }, (_, index) => (first + count + index) >>> 0);
    for (const { seed, text, verdict } of await runBatch(kind, seeds)) {
      if (verdict.kind === 'fault')
        assert.fail(`FUZZ_SEED=${seed}: ${verdict.problem}\n${JSON.stringify(text)}`);
      if (verdict.kind === 'agree') {
        takenCount += Math.sign(verdict.accepted);
      } else {
        const line = `${verdict.kind}: ${verdict.reason}`;
        differences.set(line, (differences.get(line) ?? 0) + 1);
      }
    }
    count += size;
  } while (SEED === undefined && performance.now() < endMs);
  t.diagnostic(`${count} cases from seed ${first}; in ${takenCount} both take a message, and the same`);
  for (const [line, times] of [...differences].sort(([, a], [, b]) => b - a))
    t.diagnostic(`${line}: ${times}`);
  // Damage that nothing survives would compare nothing.
  if (SEED === undefined) assert.ok(takenCount > count / 4, 'hardly any message was taken');
};

describe('what our parser takes, Node takes as the same', () => {
  test('requests', (t) => fuzz(t, { corpus: REQUESTS, ours: readRequests, node: createRequestOracle() }));

  test('responses', (t) => fuzz(t, { corpus: RESPONSES, ours: readResponse, node: readResponseWithNode }));
});
