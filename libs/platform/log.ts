import { createRequire } from 'node:module';
import { pino } from 'pino';
import type { Config } from './config.js';
import { hideSecrets } from './secrets.js';

/** What logs: a pino logger. A class, so that Nest can inject it. */
export abstract class Logger {
  abstract trace(fields: object | string, message?: string): void;
  abstract debug(fields: object | string, message?: string): void;
  abstract info(fields: object | string, message?: string): void;
  abstract warn(fields: object | string, message?: string): void;
  abstract error(fields: object | string, message?: string): void;
  abstract fatal(fields: object | string, message?: string): void;
  abstract child(fields: object): Logger;
  /** Whether lines of the level are written: asked before work that only they need. */
  abstract isLevelEnabled(level: string): boolean;
}

/**
 * Logs to stderr (stdout is for what the commands promise to print): JSON lines, or text for people. Each line has the name
 * and the id of its process; secrets of the settings never stand in one.
 */
export function createLogger(
  config: Pick<Config, 'LOG_LEVEL'> & Partial<Pick<Config, 'LOG_FORMAT'>>,
  name: string,
): Logger {
  return pino(
    {
      name,
      level: config.LOG_LEVEL,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields },
      redact: ['headers.authorization', 'headers.cookie', 'req.headers.authorization'],
      hooks: { streamWrite: hideSecrets },
    },
    config.LOG_FORMAT === 'text' ? textStream() : pino.destination({ dest: 2, sync: true }),
  );
}

/** Logs what nobody caught, with its stack and once, and ends the process. */
export function logCrashes(logger: Logger): void {
  process.on('uncaughtException', (err) => {
    try {
      logger.fatal({ err }, 'ends because of an error that nobody expected');
    } finally {
      process.exit(1);
    }
  });
}

/** Loaded only where it is used: it would take a tenth of the time that a serving process needs to start. */
function textStream(): pino.DestinationStream {
  const load = createRequire(import.meta.url);
  const pretty = load('pino-pretty') as typeof import('pino-pretty').build;
  return pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY && !process.env.NO_COLOR,
    singleLine: true,
    ignore: 'hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  });
}

const DEEPEST_CAUSE = 4;

/** What a log says of an error: not the fields that drivers hang onto theirs, such as the values of a statement. */
function errorFields(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { name, message, stack = '', cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const deeper = depth < DEEPEST_CAUSE && cause instanceof Error;
  return {
    type: name,
    message,
    stack,
    ...(code !== undefined && { code }),
    ...(deeper && { cause: errorFields(cause, depth + 1) }),
  };
}
