import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartError } from './exit.js';

/** A folder that no other process uses, as long as this one lives. */
export interface HeldFolder {
  release(): Promise<void>;
}

/**
 * Makes the data folder where there is none, and locks it.
 * @throws StartError where another server holds it, or the folder cannot be made
 */
export function openDataDir(folder: string): Promise<HeldFolder> {
  return holdFolder(folder, {
    setting: 'DATA_DIR',
    inUse: `Another Slipway server already runs on ${folder} (DATA_DIR)`,
  });
}

/**
 * Makes a folder where there is none, and locks it. The lock is a listening socket: the system ends it with the process,
 * however that ends, so that there is never a stale one.
 * @throws StartError `inUse` where another process holds it; another one where the folder cannot be made
 */
export async function holdFolder(
  folder: string,
  { setting, inUse }: { setting: string; inUse: string },
): Promise<HeldFolder> {
  try {
    // Others may pass through, because the embedded PostgreSQL may run as another user; they may not look around.
    if (await mkdir(folder, { recursive: true })) await chmod(folder, 0o711);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`Cannot make the folder ${folder} (${setting}): ${reason}`);
  }
  const path = await lockOf(folder);
  const server = await hold(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    if (process.platform === 'linux' || (await answers(path))) throw new StartError(inUse);
    // A socket file of a process that is gone.
    await rm(path, { force: true });
    return hold(path);
  });
  return {
    release: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  };
}

/** Whether a process holds the folder; false where there is no such folder. */
export async function isHeld(folder: string): Promise<boolean> {
  const path = await lockOf(folder).catch(() => undefined);
  return path !== undefined && answers(path);
}

/** The device and inode name the folder, by whichever path it was reached. */
async function lockOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  const name = `slipway-${dev}-${ino}`;
  // An abstract socket has no file; only Linux has them.
  return process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`);
}

function hold(path: string) {
  return new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ path }, () => resolve(server.unref()));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
