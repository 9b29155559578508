import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import {
  artifactsEntities,
  type ArtifactStore,
  BlobService,
  BlobSharing,
  BlobVerifier,
  GarbageCollector,
  openArtifactStore,
  UploadService,
} from '#artifacts';
import { databaseOptions } from '#database';
import { createLogger, readConfig } from '#platform';
import { dropDatabase, ownDatabase } from './postgres.js';

/** The services of one replica on a database and a store. */
export interface Replica {
  dataSource: DataSource;
  store: ArtifactStore;
  uploads: UploadService;
  blobs: BlobService;
  verifier: BlobVerifier;
  garbage: GarbageCollector;
  sharing: BlobSharing;
}

/** Environment variables of a database and a store that no other suite uses, and what removes them. */
export async function ownArtifacts(
  store: () => Promise<Record<string, string>> = async () => ({}),
): Promise<{ env: Record<string, string>; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  const database = await ownDatabase();
  return {
    env: { DATABASE_URL: database, DATA_DIR: folder, LOG_LEVEL: 'silent', ...(await store()) },
    remove: async () => {
      await dropDatabase(database);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A replica as the registry makes it; several on the same settings are several servers. */
export async function startReplica(env: Record<string, string>): Promise<Replica> {
  const config = readConfig(env);
  const options = databaseOptions(config.DATABASE_URL, artifactsEntities, { size: 20 });
  const dataSource = await new DataSource(options).initialize();
  const store = openArtifactStore(config);
  const uploads = new UploadService(dataSource, store);
  const logger = createLogger(config, 'test');
  return {
    dataSource,
    store,
    uploads,
    blobs: new BlobService(dataSource, store, uploads),
    verifier: new BlobVerifier(dataSource, store),
    garbage: new GarbageCollector(dataSource, store, logger),
    sharing: new BlobSharing(dataSource, store, uploads, config, logger),
  };
}
