export { Config, ConfigError, configWarnings, isLoopback, readConfig } from './config.js';
export { contextOf, type RequestContext, systemContext } from './context.js';
export { ErrorFilter, sendProblem } from './error.filter.js';
export { DomainError, type DomainErrorOptions, type ErrorCode, type FieldError } from './errors.js';
export { createLogger, Logger, nestLogger } from './log.js';
export { Metrics } from './metrics.js';
export { nearest } from './nearest.js';
export { PlatformModule } from './platform.module.js';
export {
  type ProblemDocument,
  problemHeaders,
  problemOf,
  statusOf,
  toDomainError,
} from './problem.js';
export { validationPipe, validationProblem } from './validation.js';
