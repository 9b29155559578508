export {
  ArtifactStore,
  type ByteRange,
  type Checkpoint,
  type SavedStaging,
  type StagedContent,
  type Staging,
  type StoredBlob,
} from './artifact-store.js';
export { digestOf, isDigest, parseDigest, type Digest } from './digest.js';
export { FolderArtifactStore } from './folder-artifact-store.js';
export { openArtifactStore, type StoreSettings } from './open-artifact-store.js';
export { S3ArtifactStore } from './s3-artifact-store.js';
