/**
 * `npm run test:interop [-- python|go]`: official rstream clients, unmodified, against this engine started from source.
 *
 * Rule: a suite that was asked for and cannot run has failed, and says in one sentence what is missing. Nothing is
 * skipped. Both suites run when none is named, and a failure of one does not keep the other from running.
 */
import { runGoSuite } from './go-suite.ts';
import { runPythonSuite } from './python-suite.ts';

const SUITES = { python: runPythonSuite, go: runGoSuite };
type SuiteName = keyof typeof SUITES;

const isSuiteName = (text: string): text is SuiteName => Object.hasOwn(SUITES, text);

const outcomeOf = async (name: SuiteName): Promise<{ passed: boolean; line: string }> => {
  const startedMs = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - startedMs) / 1000)} s`;
  try {
    await SUITES[name]();
    return { passed: true, line: `interop ${name}: passed (${seconds()})` };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { passed: false, line: `interop ${name}: FAILED (${seconds()}): ${reason}` };
  }
};

const main = async (asked: readonly string[]): Promise<number> => {
  const unknown = asked.filter((text) => !isSuiteName(text));
  if (unknown.length > 0) {
    console.error(
      `no such interop suite: ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(' and ')}.`,
    );
    return 1;
  }
  const names = asked.length > 0 ? asked.filter(isSuiteName) : (Object.keys(SUITES) as SuiteName[]);
  // One after the other: their timing would otherwise depend on each other's load.
  const outcomes = [];
  for (const name of names) outcomes.push(await outcomeOf(name));
  console.log(`\n${outcomes.map((outcome) => outcome.line).join('\n')}`);
  return outcomes.every((outcome) => outcome.passed) ? 0 : 1;
};

process.exitCode = await main(process.argv.slice(2));
