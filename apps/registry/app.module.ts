import { Module } from '@nestjs/common';
import { artifactsEntities, ArtifactsModule } from '#artifacts';
import { DatabaseModule } from '#database';
import { registryEntities, RegistryModule } from '#registry';
import { BlobsController } from './blobs.controller.js';
import { BrowserBuildController } from './browser-build.controller.js';
import { DatabaseFigures } from './database-figures.js';
import { EventsController } from './events.controller.js';
import { FilesController } from './files.controller.js';
import { HealthController } from './health.controller.js';
import { HomeController } from './home.controller.js';
import { ModelsController } from './models.controller.js';
import { RegistryMetrics } from './registry-metrics.js';
import { ServerController } from './server.controller.js';
import { ServingController } from './serving.controller.js';
import { StagesController } from './stages.controller.js';
import { TestHooksController } from './test-hooks.controller.js';
import { VersionsController } from './versions.controller.js';

export const entities = [...artifactsEntities, ...registryEntities];

/** The control plane: models, versions, stages, blobs, events, and what serving tells about itself. */
@Module({
  imports: [DatabaseModule.with(entities, 'slipway-registry'), ArtifactsModule, RegistryModule],
  controllers: [
    HealthController,
    HomeController,
    ServerController,
    ModelsController,
    VersionsController,
    FilesController,
    StagesController,
    ServingController,
    BlobsController,
    EventsController,
    BrowserBuildController,
    TestHooksController,
  ],
  providers: [DatabaseFigures, RegistryMetrics],
})
export class RegistryAppModule {}
