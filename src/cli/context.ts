/**
 * What a command may use of the process. main.ts makes one from the real process, tests make their own.
 */

/** Handed to every command. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output: results only, so that it can be piped. Adds the line end. */
  print(line: string): void;
  /** Standard error: everything meant for a person. Adds the line end. */
  tell(line: string): void;
  /** Aborts on SIGINT or SIGTERM: a long-running command then ends gracefully. */
  readonly stopSignal: AbortSignal;
  /** Calls back on each SIGHUP from now on, which otherwise ends the process. */
  onHangup(listener: () => void): void;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
}
