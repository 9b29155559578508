import { CompiledProgram, CompileJob } from './compile.entities.js';
import { Event } from './event.entity.js';
import { IdempotencyKey } from './idempotency-key.entity.js';
import { Dataset, LineageEdge } from './lineage.entities.js';
import { ManifestFile } from './manifest-file.entity.js';
import { ModelAlias } from './model-alias.entity.js';
import { ModelVersion } from './model-version.entity.js';
import { RegisteredModel } from './registered-model.entity.js';
import {
  Deployment,
  Quarantine,
  ServingMinute,
  ServingProcess,
  ServingState,
} from './serving.entities.js';
import { Transition } from './transition.entity.js';

export const registryEntities = [
  RegisteredModel,
  ModelVersion,
  ManifestFile,
  ModelAlias,
  Transition,
  LineageEdge,
  Dataset,
  CompiledProgram,
  CompileJob,
  Deployment,
  ServingProcess,
  ServingState,
  Quarantine,
  ServingMinute,
  Event,
  IdempotencyKey,
];

export { type BlobUser, BlobUsers } from './blob-users.js';
export { CompileService } from './compile.service.js';
export { etagOf } from './etag.js';
export { EventsService, type EventView } from './events.service.js';
export { AnswerKept, IdempotencyKeys, type KeptAnswer, once } from './idempotency.js';
export {
  type LineageDirection,
  type LineageGraph,
  type LineageNode,
  LineageService,
} from './lineage.service.js';
export { type Stage, stages } from './model-version.entity.js';
export { type ModelView, ModelsService } from './models.service.js';
export {
  heartbeatTimeout,
  type ProcessState,
  type ServingSummary,
  ServingStatus,
} from './serving-status.js';
export { RegistryModule } from './registry.module.js';
export { type ChangeOptions, StagesService, type TransitionAnswer } from './stages.service.js';
export { type MinuteStatistics, StatisticsService } from './statistics.service.js';
export { type TransitionView } from './transitions.js';
export { type InputExample, type VersionView } from './version-view.js';
export { type NewVersion, VersionsService } from './versions.service.js';
export { parseVersionReference, referenceSql, type VersionReference } from './version-reference.js';
