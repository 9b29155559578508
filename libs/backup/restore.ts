import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type ArtifactStore, FolderArtifactStore, openArtifactStore } from '#artifacts';
import { migrate, migrationNames, migrationState, openForCommand } from '#database';
import { type Config, DomainError, holdFolder } from '#platform';
import { type BlobCheck, type BlobFault, checkBlobs } from './blob-check.js';
import { verifyChecked } from './checked-file.js';
import { type BackupManifest, readManifest, type TableFile } from './manifest.js';
import { neededBlobs, readNeeded } from './needed-blobs.js';
import { connectForBackup, quoted, tablesOf } from './tables.js';

export interface RestoreOptions {
  /** Compares the digest of every blob in the store, not only its size. */
  deep?: boolean;
  /** A blob that is missing or damaged in the store after all. */
  onFault: (fault: BlobFault) => void;
  tell?: (line: string) => void;
}

export interface RestoreReport {
  manifest: BackupManifest;
  /** Migrations that ran after the rows had been loaded. */
  migrated: string[];
  /** Blobs that the folder had and the store had not. */
  copied: number;
  check: BlobCheck;
}

/**
 * Brings a backup into an empty database and its blobs, where the folder has them, into the store; then checks that the
 * store has every blob that rows need. Rows appear all at once or not at all.
 *
 * @throws DomainError FAILED_PRECONDITION where the backup is damaged or of a newer Slipway, or the database is not empty;
 * UNAVAILABLE. StartError where the database cannot be reached, or a server runs on the same DATA_DIR.
 */
export async function restore(
  config: Config,
  folder: string,
  options: RestoreOptions,
): Promise<RestoreReport> {
  const manifest = await readManifest(folder);
  const held = await holdFolder(folder, {
    setting: 'the folder of the backup',
    inUse: `Another slipway backup or restore works on ${folder}`,
  });
  try {
    const point = pointOf(manifest);
    const files = join(folder, manifest.folder);
    for (const file of [...manifest.tables, manifest.blobs]) await verifyChecked(files, file);
    const store = openArtifactStore(config);
    await store.check();
    const database = await openForCommand(config, { create: true, alone: true });
    try {
      await checkEmpty(database.url, manifest);
      // Bytes before rows, as everywhere: a row is a promise that the bytes are there.
      const copied = manifest.blobs.included ? await putBlobs(folder, manifest, store) : 0;
      await migrate(database.url, { upTo: point });
      await load(database.url, files, manifest, options.tell);
      const migrated = await migrate(database.url);
      const check = await checkRestored(database.url, store, options);
      return { manifest, migrated, copied, check };
    } finally {
      await database.close();
    }
  } finally {
    await held.release();
  }
}

/** The last migration of the backup. */
function pointOf({ migrations, product }: BackupManifest): string {
  const unknown = migrations.filter((name) => !migrationNames.includes(name));
  const point = migrations.at(-1);
  if (point !== undefined && unknown.length === 0) return point;
  throw new DomainError(
    'FAILED_PRECONDITION',
    `The backup was made by Slipway ${product}, with migrations that this version does not know ` +
      `(${unknown.join(', ')}): restore it with that version or a newer one.`,
  );
}

async function checkEmpty(url: string, { migrations }: BackupManifest): Promise<void> {
  const client = await connectForBackup(url);
  try {
    const { applied, unknown } = await migrationState(client);
    const ahead = [...applied, ...unknown].find((name) => !migrations.includes(name));
    if (ahead !== undefined) {
      throw notEmpty(`its schema is newer than the backup (${ahead})`);
    }
    await refuseRows(client);
  } finally {
    await client.end();
  }
}

async function refuseRows(client: pg.ClientBase): Promise<void> {
  for (const { name } of await tablesOf(client)) {
    const { rowCount } = await client.query(`SELECT 1 FROM ${quoted([name])} LIMIT 1`);
    if (rowCount) throw notEmpty(`the table ${name} has rows`);
  }
}

function notEmpty(how: string): DomainError {
  return new DomainError(
    'FAILED_PRECONDITION',
    `A backup is restored only into an empty database, and this one is not: ${how}. Make a new one ` +
      '(CREATE DATABASE, and name it in DATABASE_URL), or set DATA_DIR to a new folder.',
  );
}

/** Faults are told by the check that follows: the store may have what the folder has lost. */
async function putBlobs(
  folder: string,
  manifest: BackupManifest,
  store: ArtifactStore,
): Promise<number> {
  const needed = readNeeded(join(folder, manifest.folder, manifest.blobs.file));
  const { copied } = await checkBlobs(needed, new FolderArtifactStore(folder), {
    copyTo: store,
    onFault: () => undefined,
  });
  return copied;
}

async function load(
  url: string,
  files: string,
  manifest: BackupManifest,
  tell: (line: string) => void = () => undefined,
): Promise<void> {
  const client = await connectForBackup(url);
  try {
    await client.query('BEGIN');
    const tables = await tablesOf(client);
    await client.query(
      `LOCK TABLE ${quoted(tables.map(({ name }) => name))} IN ACCESS EXCLUSIVE MODE`,
    );
    // Somebody may have come in between.
    await refuseRows(client);
    for (const { name } of tables) {
      const file = manifest.tables.find((table) => table.name === name);
      if (file) await loadTable(client, files, file);
    }
    for (const { name } of manifest.tables) {
      if (!tables.some((table) => table.name === name))
        tell(`The table ${name} is none of Slipway's; it was not restored.`);
    }
    for (const { name, lastValue, isCalled } of manifest.sequences) {
      await client.query(`SELECT setval(to_regclass($1), $2::bigint, $3)`, [
        quoted([name]),
        lastValue,
        isCalled,
      ]);
    }
    await adoptEvents(client);
    await client.query('COMMIT');
    await client.query('ANALYZE');
  } finally {
    await client.end();
  }
}

async function loadTable(
  client: pg.Client,
  files: string,
  { name, columns, rows, file }: TableFile,
): Promise<void> {
  const copy = client.query(copyFrom(`COPY ${quoted([name])} (${quoted(columns)}) FROM STDIN`));
  await pipeline(createReadStream(join(files, file)), copy);
  if (copy.rowCount === rows) return;
  throw new DomainError(
    'FAILED_PRECONDITION',
    `${file} of the backup has ${copy.rowCount} rows instead of ${rows}. Nothing was restored.`,
  );
}

/**
 * Events are read in the order of their transactions, whose numbers mean nothing at another server: where theirs are ahead
 * of this server's, nobody would be told of them, or of new ones, for a long time. They become those of the first
 * transaction, in the order of their own numbers. Whoever followed the old database is told to begin anew (410).
 */
async function adoptEvents(client: pg.Client): Promise<void> {
  await client.query(
    `UPDATE event SET transaction = 1
     WHERE (SELECT max(transaction) FROM event) >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint`,
  );
}

async function checkRestored(
  url: string,
  store: ArtifactStore,
  { deep, onFault }: RestoreOptions,
): Promise<BlobCheck> {
  const client = await connectForBackup(url);
  try {
    await forgetUnneeded(client, store);
    await client.query('BEGIN READ ONLY');
    return await checkBlobs(neededBlobs(client), store, { ...(deep && { deep }), onFault });
  } finally {
    await client.end();
  }
}

/**
 * A row of a blob that nothing needs lets clients skip its upload; where the store does not have the bytes, the row goes.
 */
async function forgetUnneeded(client: pg.Client, store: ArtifactStore): Promise<void> {
  let after = '';
  for (;;) {
    const { rows } = await client.query<{ digest: `sha256:${string}`; size: string }>(
      `SELECT digest, size::text AS size FROM blob b WHERE digest > $1
         AND NOT EXISTS (SELECT 1 FROM blob_reference r WHERE r.digest = b.digest)
       ORDER BY digest LIMIT 1000`,
      [after],
    );
    const lost: string[] = [];
    for (const { digest, size } of rows) {
      if ((await store.stat(digest))?.size !== Number(size)) lost.push(digest);
      after = digest;
    }
    await client.query(`DELETE FROM blob WHERE digest = ANY($1)`, [lost]);
    if (rows.length < 1000) return;
  }
}
