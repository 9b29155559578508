import { pino } from 'pino';
import type { Config } from './config.js';

/** What logs: a pino logger. A class, so that Nest can inject it. */
export abstract class Logger {
  abstract trace(fields: object | string, message?: string): void;
  abstract debug(fields: object | string, message?: string): void;
  abstract info(fields: object | string, message?: string): void;
  abstract warn(fields: object | string, message?: string): void;
  abstract error(fields: object | string, message?: string): void;
  abstract fatal(fields: object | string, message?: string): void;
  abstract child(fields: object): Logger;
}

/** Logs JSON lines to stderr: stdout is for what the commands promise to print. */
export function createLogger(config: Pick<Config, 'LOG_LEVEL'>, name: string): Logger {
  return pino(
    {
      name,
      level: config.LOG_LEVEL,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ['headers.authorization', 'headers.cookie', 'req.headers.authorization'],
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
