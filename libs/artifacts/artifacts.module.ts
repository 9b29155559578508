import { Global, Module } from '@nestjs/common';
import { Config } from '#platform';
import { ArtifactStore } from './artifact-store.js';
import { BlobService } from './blob.service.js';
import { GarbageCollector } from './garbage-collector.js';
import { openArtifactStore } from './open-artifact-store.js';
import { UploadService } from './upload.service.js';

/** Needs a DataSource with `artifactsEntities`. */
@Global()
@Module({
  providers: [
    { provide: ArtifactStore, inject: [Config], useFactory: openArtifactStore },
    UploadService,
    BlobService,
    GarbageCollector,
  ],
  exports: [ArtifactStore, UploadService, BlobService, GarbageCollector],
})
export class ArtifactsModule {}
