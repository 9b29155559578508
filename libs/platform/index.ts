export { type AccessCheck, checkAccess } from './access.js';
export { Config, ConfigError, configWarnings, isLoopback, readConfig } from './config.js';
export { contextOf, type RequestContext, systemContext } from './context.js';
export { ErrorFilter, sendProblem } from './error.filter.js';
export { DomainError, type DomainErrorOptions, type ErrorCode, type FieldError } from './errors.js';
export { EXIT_CONFIG, EXIT_UNAVAILABLE, exitCodeOf, explain, runMain, StartError } from './exit.js';
export { FastExpressAdapter } from './fast-express.adapter.js';
export { freePort } from './free-port.js';
export {
  answerBrokenRequests,
  type BrokenAnswer,
  createHttpApp,
  type HttpApp,
  type HttpAppOptions,
  notListening,
} from './http.js';
export { RawBody, readJsonBody } from './json-body.js';
export { readJson, writeJson } from './json.js';
export { createLogger, Logger, nestLogger } from './log.js';
export { Metrics } from './metrics.js';
export { nearest } from './nearest.js';
export { PlatformModule } from './platform.module.js';
export {
  isUnavailable,
  type ProblemDocument,
  problemHeaders,
  problemOf,
  statusOf,
  toDomainError,
} from './problem.js';
export {
  type ChildOptions,
  endWithParent,
  type ReadyMessage,
  stopOnSignals,
  type SupervisedChild,
  superviseChild,
  tellReady,
} from './processes.js';
export { isStarting, setStarting } from './starting.js';
export { Stopping } from './stopping.js';
export { ValidateDto, validationProblem } from './validation.js';
