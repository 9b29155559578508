export { type AccessCheck, checkAccess } from './access.js';
export { answerBrokenRequests, type BrokenAnswer } from './broken-requests.js';
export { channels } from './channels.js';
export { Config, ConfigError, configWarnings, isLoopback, readConfig } from './config.js';
export { contextOf, givenId, type RequestContext, systemContext } from './context.js';
export { type HeldFolder, holdFolder, isHeld, openDataDir } from './data-dir.js';
export { DomainError, type DomainErrorOptions, type ErrorCode, type FieldError } from './errors.js';
export { EXIT_CONFIG, EXIT_UNAVAILABLE, exitCodeOf, explain, runMain, StartError } from './exit.js';
export { freePort, notListening } from './free-port.js';
export { readJson, writeJson } from './json.js';
export { createLogger, logCrashes, Logger } from './log.js';
export { Metrics } from './metrics.js';
export { METRICS_TYPE, type MetricJson, metricsText, type MetricValue } from './metrics-text.js';
export { latencyBounds } from './latency-bounds.js';
export { nearest } from './nearest.js';
export { productVersion } from './product-version.js';
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
export { hideSecrets, rememberSecrets, withoutCredentials } from './secrets.js';
export { sendProblem } from './send-problem.js';
export { isStarting, setStarting } from './starting.js';
export { Stopping } from './stopping.js';
export { type Span, spanIn, spanOf, traceHeaders } from './trace-context.js';
