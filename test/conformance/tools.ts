/** What the suites share: cases that are run to the end, and tools that may be missing. */
import { lastLine, runCommand } from '../interop/command.ts';

const CHECK_MS = 60_000;

/** Makes sure that a tool runs. Throws a sentence that names the Debian package when it does not. */
export const requireTool = async (
  tool: string,
  args: readonly string[],
  debianPackage: string,
): Promise<void> => {
  const { code, output } = await runCommand(tool, args, { timeoutMs: CHECK_MS, output: 'keep' });
  if (code !== 0)
    throw new Error(
      `${tool} is missing or does not run (Debian: apt-get install ${debianPackage}). ${lastLine(output)}`.trim(),
    );
};

/** A step of a suite; it throws what is wrong. */
export type Cases = Readonly<Record<string, () => Promise<void>>>;

/** Runs all cases, one after the other. Throws with every fault, so that one run tells all. */
export const runCases = async (cases: Cases): Promise<string> => {
  const faults: string[] = [];
  for (const [name, run] of Object.entries(cases))
    await run().catch((fault: unknown) => faults.push(`${name}: ${String(fault)}`));
  const count = Object.keys(cases).length;
  if (faults.length > 0)
    throw new Error(`${faults.length} of ${count} cases failed:\n  ${faults.join('\n  ')}`);
  return `${count} cases`;
};
