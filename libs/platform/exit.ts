import { ConfigError } from './config.js';
import { hideSecrets } from './secrets.js';

/** `EX_CONFIG` of sysexits.h. */
export const EXIT_CONFIG = 78;
/** `EX_UNAVAILABLE` of sysexits.h: a port in use, a database or store out of reach. */
export const EXIT_UNAVAILABLE = 69;

/** Why a process cannot start, in one line that says what to do; empty where that has been printed already. */
export class StartError extends Error {
  constructor(
    message: string,
    readonly exitCode = EXIT_UNAVAILABLE,
  ) {
    super(message);
    this.name = 'StartError';
  }
}

/**
 * Runs the main function of a process. Faults of the configuration are printed as a list (exit code 78), an expected
 * failure as one line (69, or its own code), anything else with its stack (1).
 */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const reason = explain(error);
    if (reason) process.stderr.write(`${reason}\n`);
    process.exit(exitCodeOf(error));
  }
}

/** What the user reads about a failed start. */
export function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError)
    return hideSecrets(error.message);
  return hideSecrets(error instanceof Error ? (error.stack ?? error.message) : String(error));
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return EXIT_CONFIG;
  return error instanceof StartError ? error.exitCode : 1;
}
