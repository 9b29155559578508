import type { Config } from '#platform';
import { OperationError } from './failure.js';

const REFUSED = 1;

/**
 * Runs a command that reads the same settings as the server. The libraries behind it are loaded only then, so that the
 * other commands start fast.
 * @throws OperationError for what is expected to go wrong
 */
export async function operate(work: (config: Config) => Promise<void>): Promise<void> {
  const platform = await import('#platform');
  try {
    const config = platform.readConfig();
    for (const warning of platform.configWarnings()) process.stderr.write(`Warning: ${warning}\n`);
    await work(config);
  } catch (error) {
    if (error instanceof platform.ConfigError) {
      throw new OperationError(error.message, platform.EXIT_CONFIG, 'CONFIGURATION');
    }
    if (error instanceof platform.StartError) {
      throw new OperationError(error.message, error.exitCode, 'UNAVAILABLE', 'slipway doctor');
    }
    const problem = platform.toDomainError(error);
    if (!problem) throw error;
    const away = problem.code === 'UNAVAILABLE';
    throw new OperationError(
      problem.message,
      away ? platform.EXIT_UNAVAILABLE : REFUSED,
      problem.code,
      away ? 'slipway doctor' : undefined,
    );
  }
}
