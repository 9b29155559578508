export { Blob, BlobReference, Upload, artifactsEntities } from './artifacts.entities.js';
export { ArtifactsModule } from './artifacts.module.js';
export {
  ArtifactStore,
  type ByteRange,
  type Checkpoint,
  type SavedStaging,
  type StagedContent,
  type Staging,
  type StoredBlob,
} from './artifact-store.js';
export { type BlobPart } from './blob-parts.js';
export { BlobSharing, type Shared } from './blob-sharing.js';
export { dereferenceBlobs, type WantedBlobs } from './blob-references.js';
export { BlobScrub, type Scrubbed } from './blob-scrub.js';
export {
  BlobVerifier,
  damages,
  type Damage,
  type DamagedBlob,
  type VerifiedStep,
} from './blob-verifier.js';
export { BlobService, type StoredBlobInfo } from './blob.service.js';
export { digestOf, isDigest, parseDigest, type Digest } from './digest.js';
export { FolderArtifactStore } from './folder-artifact-store.js';
export {
  COLLECTOR_LOCK,
  type Collected,
  type CollectOptions,
  GarbageCollector,
} from './garbage-collector.js';
export { openArtifactStore, type StoreSettings } from './open-artifact-store.js';
export { type ProbeStep, probeStore } from './probe-store.js';
export { S3ArtifactStore } from './s3-artifact-store.js';
export { UploadService, type UploadPart, type UploadStatus } from './upload.service.js';
