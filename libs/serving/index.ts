export {
  CompartmentPool,
  type CompartmentPoolOptions,
  type CompartmentRuntime,
} from './compartment-pool.js';
export { BatchSizes } from './batch-sizes.js';
export { Batcher, type BatcherOptions, type BatchTarget, type Job } from './batcher.js';
export { DesiredState, type DesiredStateOptions } from './desired-state.js';
export {
  type DesiredModel,
  type DesiredSnapshot,
  type Resolution,
  type VersionResolver,
  type VersionTarget,
  type WatchedVersion,
} from './desired.js';
export { type CompartmentEnd } from './compartment.js';
export { LoadError } from './load-error.js';
export { LoadedVersion, type LoadedProgram } from './loaded-version.js';
export {
  type ManagerObserver,
  ModelManager,
  type ModelManagerOptions,
  type ResidentVersion,
  type VersionLoader,
} from './model-manager.js';
export { type ModelState } from './model-slot.js';
export { type BlobSource, ProgramCache, type ProgramCacheOptions } from './program-cache.js';
export {
  type Compartments,
  type ProgramFiles,
  ProgramLoader,
  type ProgramLoaderOptions,
} from './program-loader.js';
export { type CountedMinute, type CountedVersion, RequestCounts } from './request-counts.js';
export { type Route, type RouteTable } from './route-table.js';
export { clearMark, readMark, type RunMark, RunMarker } from './run-marker.js';
export { ServedTotals } from './served-totals.js';
export { StateReporter, type StateReporterOptions } from './state-reporter.js';
