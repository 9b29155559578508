import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { COLLECTOR_LOCK, FolderArtifactStore, openArtifactStore } from '#artifacts';
import { MIGRATION_LOCK, migrationState, openForCommand } from '#database';
import { type Config, DomainError, holdFolder, productVersion } from '#platform';
import { type BlobCheck, type BlobCheckOptions, checkBlobs } from './blob-check.js';
import { writeChecked } from './checked-file.js';
import {
  type BackupManifest,
  type NeededBlobs,
  readManifest,
  type SequenceState,
  syncFolder,
  type TableFile,
  writeManifest,
} from './manifest.js';
import { neededBlobs, readNeeded, writeNeeded } from './needed-blobs.js';
import { connectForBackup, quoted, sequencesOf, tablesOf } from './tables.js';

export interface BackupOptions extends Pick<BlobCheckOptions, 'deep' | 'onFault'> {
  /** Copies the blobs too, those that are not in the folder yet. */
  blobs?: boolean;
  /** Told what takes long. */
  tell?: (line: string) => void;
}

export interface BackupReport {
  manifest: BackupManifest;
  check: BlobCheck;
}

const NEW = 'database.new-';
const NEEDED = 'blobs.jsonl';
/** All that may be in the folder of a backup. */
const OWN = /^(manifest\.json(\.new)?|database(-[\dTZ-]+|\.new-\w+)|blobs|uploads)$/;

/**
 * Writes one moment of the database to a folder, and checks that the store has every blob that its rows need. The server
 * may run. The folder is a backup when this has ended, and stays the backup that it was when this was cut off.
 *
 * @throws DomainError FAILED_PRECONDITION where the folder has something else in it, or there is nothing to back up;
 * UNAVAILABLE. StartError where the database cannot be reached.
 */
export async function backup(
  config: Config,
  folder: string,
  options: BackupOptions,
): Promise<BackupReport> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: Error) => {
    throw new DomainError('FAILED_PRECONDITION', `Cannot make ${folder}: ${error.message}`);
  });
  const held = await holdFolder(folder, {
    setting: 'the folder of the backup',
    inUse: `Another slipway backup or restore works on ${folder}`,
  });
  try {
    await checkFolder(folder);
    const store = openArtifactStore(config);
    await store.check();
    const database = await openForCommand(config);
    try {
      return await new Backup(folder, database.url, store, options).run();
    } finally {
      await database.close();
    }
  } finally {
    await held.release();
  }
}

async function checkFolder(folder: string): Promise<void> {
  const foreign = (await readdir(folder)).find((name) => !OWN.test(name));
  if (foreign === undefined) return;
  throw new DomainError(
    'FAILED_PRECONDITION',
    `${folder} is no folder of backups: it has ${foreign} in it. Name a new folder, or an earlier backup.`,
  );
}

class Backup {
  private readonly blobFolder: FolderArtifactStore;
  private readonly tell: (line: string) => void;

  constructor(
    private readonly folder: string,
    private readonly url: string,
    private readonly store: ReturnType<typeof openArtifactStore>,
    private readonly options: BackupOptions,
  ) {
    this.blobFolder = new FolderArtifactStore(folder);
    this.tell = options.tell ?? (() => undefined);
  }

  async run(): Promise<BackupReport> {
    const before = await readManifest(this.folder).catch(() => undefined);
    await this.removeUnfinished(before);
    const work = await mkdtemp(join(this.folder, NEW));
    const client = await connectForBackup(this.url);
    try {
      await this.lock(client);
      const dumped = await this.dump(client, work);
      const check = await this.checkBlobs(work, dumped);
      const manifest = await this.finish(work, dumped);
      await this.removeUnfinished(manifest);
      return { manifest, check };
    } finally {
      // Ends the locks too.
      await client.end().catch(() => undefined);
      await rm(work, { recursive: true, force: true });
    }
  }

  /** No migration while tables are read, and no blob collected between the snapshot and the check. */
  private async lock(client: pg.Client): Promise<void> {
    for (const [lock, what] of [
      [MIGRATION_LOCK, 'migrates'],
      [COLLECTOR_LOCK, 'collects garbage'],
    ] as const) {
      const { rows } = await client.query<{ taken: boolean }>(
        'SELECT pg_try_advisory_lock_shared($1) AS taken',
        [lock],
      );
      if (rows[0]?.taken) continue;
      this.tell(`Another process ${what}; waiting for it …`);
      await client.query('SELECT pg_advisory_lock_shared($1)', [lock]);
    }
  }

  /** Everything but the blobs, as of one snapshot. */
  private async dump(client: pg.Client, work: string): Promise<Omit<BackupManifest, 'folder'>> {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await client.query<{ now: Date; postgres: string }>(
      `SELECT now(), current_setting('server_version') AS postgres`,
    );
    const { applied, unknown } = await migrationState(client);
    if (applied.length + unknown.length === 0) {
      throw new DomainError(
        'FAILED_PRECONDITION',
        'There is nothing to back up: the database has no tables of Slipway.',
      );
    }
    const tables: TableFile[] = [];
    for (const { name, columns } of await tablesOf(client)) {
      const copy = client.query(
        copyTo(`COPY (SELECT ${quoted(columns)} FROM ${quoted([name])}) TO STDOUT`),
      );
      const file = await writeChecked(join(work, fileOf(name)), copy);
      tables.push({ name, columns, rows: copy.rowCount, ...file });
    }
    const needed = await writeNeeded(join(work, NEEDED), neededBlobs(client));
    const sequences = await this.sequences(client);
    await client.query('COMMIT');
    return {
      format: 1,
      product: productVersion,
      takenAt: rows[0]?.now.toISOString() ?? '',
      postgres: rows[0]?.postgres ?? '',
      migrations: [...applied, ...unknown],
      tables,
      sequences,
      blobs: { ...needed, included: this.options.blobs ?? false },
    };
  }

  /** Read after the rows: a sequence knows no snapshot, and must not be behind them. */
  private async sequences(client: pg.Client): Promise<SequenceState[]> {
    const states: SequenceState[] = [];
    for (const name of await sequencesOf(client)) {
      const { rows } = await client.query<Omit<SequenceState, 'name'>>(
        `SELECT last_value::text AS "lastValue", is_called AS "isCalled" FROM ${quoted([name])}`,
      );
      if (rows[0]) states.push({ name, ...rows[0] });
    }
    return states;
  }

  private async checkBlobs(work: string, { blobs }: { blobs: NeededBlobs }): Promise<BlobCheck> {
    const { deep, onFault } = this.options;
    if (blobs.included) await this.blobFolder.check();
    return checkBlobs(readNeeded(join(work, NEEDED)), this.store, {
      ...(deep && { deep }),
      ...(blobs.included && { copyTo: this.blobFolder }),
      onFault,
    });
  }

  private async finish(
    work: string,
    dumped: Omit<BackupManifest, 'folder'>,
  ): Promise<BackupManifest> {
    const folder = `database-${dumped.takenAt.replace(/[^\dTZ]/g, '-')}`;
    await syncFolder(work);
    await rename(work, join(this.folder, folder));
    await syncFolder(this.folder);
    const manifest = { ...dumped, folder };
    await writeManifest(this.folder, manifest);
    return manifest;
  }

  /** What a killed backup left, and the tables of the backup before. */
  private async removeUnfinished(manifest: BackupManifest | undefined): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (name.startsWith('database') && name !== manifest?.folder)
        await rm(join(this.folder, name), { recursive: true, force: true });
    }
    for await (const { id, saved } of this.blobFolder.listStaged())
      await this.blobFolder.stage(id, saved).discard();
  }
}

/** Names of our tables are plain; any other is written so that it stays a name of a file. */
function fileOf(table: string): string {
  return `${table.replace(/[^\w]/g, (other) => `-${other.codePointAt(0)}-`)}.copy`;
}
