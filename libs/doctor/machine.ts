import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import type { Config } from '#platform';
import { failure, ok, reasonOf, type Said, sizeText, warning } from './finding.js';

const OLDEST_NODE = [20, 19] as const;

export function checkNode(version = process.versions.node): Said {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const old = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  const needed = OLDEST_NODE.join('.');
  if (!old) return ok(`Node ${version}`);
  return failure(`Node ${version} is older than ${needed}`, `install Node ${needed} or newer`);
}

/** Free bytes below which PostgreSQL may soon be unable to write, and below which it is time to look. */
const FULL = 512 * 2 ** 20;
const NEARLY_FULL = 5 * 2 ** 30;

/** Kinds of file systems (`statfs`, linux/magic.h) on which a database, or anything that must stay, is in danger. */
const KINDS: Record<number, [name: string, danger: string]> = {
  0x6969: ['NFS', 'a database on it can be damaged'],
  0xff534d42: ['SMB', 'a database on it can be damaged'],
  0xfe534d42: ['SMB', 'a database on it can be damaged'],
  0x01021994: ['tmpfs', 'it is gone after a restart of the machine'],
  0x794c7630: ['overlay', "it is the container's own layer, which goes with the container"],
};

/** @param least free bytes that are too few, and few */
export async function checkDataDir(
  { DATA_DIR, DATABASE_URL, artifactStore }: Config,
  least = [FULL, NEARLY_FULL] as const,
): Promise<Said[]> {
  const there = await nearestFolder(DATA_DIR);
  const what = there === DATA_DIR ? DATA_DIR : `${DATA_DIR} (not there yet)`;
  try {
    await access(there, constants.W_OK | constants.X_OK);
    if (!(await stat(there)).isDirectory()) throw new Error(`${there} is no folder`);
  } catch (error) {
    const why = `cannot write to ${what}: ${reasonOf(error)}`;
    return [failure(why, 'make it writable for the user of the server, or set DATA_DIR')];
  }
  const { type, bavail, bsize } = await statfs(there);
  const free = bavail * bsize;
  const said = [diskSpace(what, free, least)];
  const kind = KINDS[type];
  const keeps = !DATABASE_URL || artifactStore.kind === 'folder';
  if (kind && keeps) {
    said.push(
      warning(
        `${DATA_DIR} is on a file system of the kind ${kind[0]}: ${kind[1]}`,
        'set DATA_DIR to a folder on a local disk (in a container: a volume)',
      ),
    );
  }
  return said;
}

function diskSpace(what: string, free: number, [full, few]: readonly [number, number]): Said {
  const message = `${what} is writable, ${sizeText(free)} free`;
  const next = 'make room: slipway gc, old backups, logs; or a larger disk';
  if (free < full) return failure(`${message}: PostgreSQL stops when it cannot write`, next);
  return free < few ? warning(message, next) : ok(message);
}

/** The folder, or the nearest one above it that is there. */
export async function nearestFolder(path: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  const absent = found instanceof Error && found.code === 'ENOENT' && dirname(path) !== path;
  return absent ? nearestFolder(dirname(path)) : path;
}

/** A serving process without a model, and the registry (measured; docs/operations.md, Sizing). */
const REGISTRY = 200 * 2 ** 20;
const SERVING = 150 * 2 ** 20;

export async function checkMemory(
  { SERVING_MEMORY, SERVING_PROCESSES }: Config,
  memory = ownMemory(),
): Promise<Said> {
  const models = `SERVING_MEMORY is ${sizeText(SERVING_MEMORY)} of ${sizeText(memory)}`;
  const needed = SERVING_MEMORY + REGISTRY + SERVING * SERVING_PROCESSES;
  const next = 'lower SERVING_MEMORY or SERVING_PROCESSES, or give it more memory';
  if (SERVING_MEMORY > memory) return failure(`${models}: more than there is`, next);
  if (needed > memory) {
    const why = `${models}: with the processes themselves (about ${sizeText(needed - SERVING_MEMORY)}) more than there is`;
    return warning(why, next);
  }
  const available = await availableMemory();
  if (available !== undefined && available < SERVING_MEMORY / 2) {
    const why = `${models}, but only ${sizeText(available)} are available now`;
    return warning(why, `see which other programs take the memory; or ${next}`);
  }
  return ok(models);
}

function ownMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

async function availableMemory(): Promise<number | undefined> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}
