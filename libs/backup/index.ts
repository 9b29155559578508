export { backup, type BackupOptions, type BackupReport } from './backup.js';
export { type BlobCheck, type BlobFault } from './blob-check.js';
export { type BackupManifest } from './manifest.js';
export { type Need } from './needed-blobs.js';
export { restore, type RestoreOptions, type RestoreReport } from './restore.js';
