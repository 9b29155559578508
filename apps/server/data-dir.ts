import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartError } from '#platform';

/** A folder that no other server uses, as long as this process lives. */
export interface DataDir {
  release(): Promise<void>;
}

/**
 * Makes the data folder where there is none, and locks it. The lock is a listening socket: the system ends it with the
 * process, however that ends, so that there is never a stale one.
 * @throws StartError where another server holds it, or the folder cannot be made
 */
export async function openDataDir(folder: string): Promise<DataDir> {
  try {
    // Others may pass through, because the embedded PostgreSQL may run as another user; they may not look around.
    if (await mkdir(folder, { recursive: true })) await chmod(folder, 0o711);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`Cannot make the folder ${folder} (DATA_DIR): ${reason}`);
  }
  const { dev, ino } = await stat(folder);
  // The device and inode name the folder, by whichever path it was reached.
  const name = `slipway-${dev}-${ino}`;
  // An abstract socket has no file; only Linux has them.
  const path = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`);
  const inUse = () => new StartError(`Another Slipway server already runs on ${folder} (DATA_DIR)`);
  const server = await hold(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    if (process.platform === 'linux' || (await answers(path))) throw inUse();
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
