import type { LoggerService } from '@nestjs/common';
import type { Logger } from '#platform';

/** Lets Nest log through ours. */
export function nestLogger(logger: Logger): LoggerService {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error' | 'fatal') =>
    (message: unknown, ...rest: unknown[]) => {
      const fields = message instanceof Error ? { err: message } : {};
      const context = rest.findLast((part) => typeof part === 'string');
      logger[level]({ ...fields, context }, String(message));
    };
  // Nest tells each module and route at start on `log`; that is for debugging here.
  return {
    log: line('debug'),
    debug: line('debug'),
    verbose: line('debug'),
    warn: line('warn'),
    error: line('error'),
    fatal: line('fatal'),
  };
}
