import { Module } from '@nestjs/common';
import { ArtifactsModule } from '#artifacts';
import { BlobUsers } from './blob-users.js';
import { CompileService } from './compile.service.js';
import { EventsService } from './events.service.js';
import { Housekeeping } from './housekeeping.js';
import { IdempotencyKeys } from './idempotency.js';
import { LineageService } from './lineage.service.js';
import { ModelsService } from './models.service.js';
import { Notifications } from './notifications.js';
import { ServingStatus } from './serving-status.js';
import { StagesService } from './stages.service.js';
import { StatisticsService } from './statistics.service.js';
import { VersionsService } from './versions.service.js';

const services = [
  ModelsService,
  VersionsService,
  StagesService,
  LineageService,
  EventsService,
  StatisticsService,
  ServingStatus,
  CompileService,
  IdempotencyKeys,
  BlobUsers,
];

@Module({
  imports: [ArtifactsModule],
  providers: [Notifications, Housekeeping, ...services],
  exports: services,
})
export class RegistryModule {}
