import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BlobCheck, BlobFault, Need } from '#backup';
import { bytesText, note, print, printJson } from '../output.js';
import { operate } from '../operation.js';

const FAULTS_FOUND = 1;

const BACKUP_HELP = `
Reads DATABASE_URL, or DATA_DIR for the embedded PostgreSQL, and ARTIFACT_STORE, as the server does. The server may run.
Without --blobs the folder has the database alone: back the store up by its own means, after this.
A folder that has a manifest.json is whole. Again into the same folder replaces the tables and adds only new blobs.

Exit codes: 0 done, 1 refused, or blobs are missing, 69 database or store not reachable, 78 wrong configuration.`;

const RESTORE_HELP = `
Only into an empty database, and with the server stopped. ARTIFACT_STORE may be another one than that of the backup.

Exit codes: 0 done, 1 refused, or blobs are missing, 69 database or store not reachable, 78 wrong configuration.`;

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('write the database to a folder, and check that the store has all that it needs')
    .argument('<folder>', 'new, or an earlier backup to be replaced')
    .option('--blobs', 'copy the blobs too, those that are not in the folder yet')
    .option('--deep', 'read every blob and compare its digest')
    .addHelpText('after', BACKUP_HELP)
    .action((folder: string, options: { blobs?: boolean; deep?: boolean }, command: Command) =>
      operate(async (config) => {
        const { backup } = await import('#backup');
        const faults = new Faults(command);
        const { manifest, check } = await backup(config, resolve(folder), {
          ...options,
          onFault: faults.add,
          tell: note,
        });
        const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
        faults.end({ folder: resolve(folder), manifest, check }, () => {
          print(`${rows} rows of ${manifest.tables.length} tables, as of ${manifest.takenAt}`);
          print(checkText(check, options.blobs ?? false));
        });
      }),
    );
  program
    .command('restore')
    .description('bring a backup into an empty database, and its blobs into the store')
    .argument('<folder>', 'what slipway backup wrote')
    .option('--deep', 'read every blob and compare its digest')
    .addHelpText('after', RESTORE_HELP)
    .action((folder: string, options: { deep?: boolean }, command: Command) =>
      operate(async (config) => {
        const { restore } = await import('#backup');
        const faults = new Faults(command);
        const { manifest, migrated, copied, check } = await restore(config, resolve(folder), {
          ...options,
          onFault: faults.add,
          tell: note,
        });
        faults.end({ manifest, migrated, copied, check }, () => {
          print(`restored ${resolve(folder)}, as of ${manifest.takenAt}`);
          for (const name of migrated) print(`ran ${name}`);
          print(checkText({ ...check, copied }, manifest.blobs.included));
        });
      }),
    );
}

/** Blobs that are missing or damaged: told when they are found, or in the JSON at the end. */
class Faults {
  private readonly json: boolean;
  private readonly found: BlobFault[] = [];
  private count = 0;

  constructor(command: Command) {
    this.json = command.optsWithGlobals<{ json?: boolean }>().json === true;
  }

  readonly add = (fault: BlobFault): void => {
    this.count += 1;
    if (this.json) this.found.push(fault);
    else print(`${fault.fault}: ${fault.digest} (${fault.detail}), needed by ${needText(fault)}`);
  };

  end(report: object, tell: () => void): void {
    if (this.json) printJson({ ...report, faults: this.found });
    else tell();
    if (this.count === 0) return;
    process.exitCode = FAULTS_FOUND;
    if (!this.json) note('next: docs/operations.md, "Blobs are lost"');
  }
}

function needText({ neededBy }: BlobFault): string {
  const one = ({ kind, owner, model, version }: Need) =>
    model === null
      ? `${kind} ${owner}`
      : `${model}/${version}${kind === 'program' ? ' (its Program)' : ''}`;
  return [...new Set(neededBy.map(one))].join(', ');
}

function checkText({ checked, bytes, copied, faults }: BlobCheck, copying: boolean): string {
  const what = `${checked} blobs (${bytesText(bytes)}) are needed`;
  const moved = copying ? `, ${copied} copied` : '';
  return `${what}${moved}, ${faults === 0 ? 'none is missing' : `${faults} missing or damaged`}`;
}
