import { Global, Module } from '@nestjs/common';
import { Config } from '#platform';
import { ArtifactStore } from './artifact-store.js';
import { BlobScrub } from './blob-scrub.js';
import { BlobSharing } from './blob-sharing.js';
import { BlobVerifier } from './blob-verifier.js';
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
    BlobVerifier,
    BlobScrub,
    BlobSharing,
    GarbageCollector,
  ],
  exports: [ArtifactStore, UploadService, BlobService, BlobSharing, BlobVerifier, GarbageCollector],
})
export class ArtifactsModule {}
