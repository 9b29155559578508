import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '#platform';
import type { DesiredSnapshot } from './desired.js';

/** The last known snapshot on the local disk, for a start without PostgreSQL. */
export class SnapshotFile {
  #writing: Promise<void> = Promise.resolve();
  #waiting: string | undefined;

  constructor(
    private readonly path: string,
    private readonly log: Logger,
  ) {}

  /** What was saved last; undefined where there is nothing, or nothing that can be read. */
  async read(): Promise<DesiredSnapshot | undefined> {
    try {
      const snapshot = JSON.parse(await readFile(this.path, 'utf8')) as DesiredSnapshot;
      return Array.isArray(snapshot.models) ? snapshot : undefined;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
        this.log.warn({ err: error }, 'the last known snapshot cannot be read');
      }
      return undefined;
    }
  }

  /** Saves a snapshot given as its JSON; of several that come while one is being written, only the last is. */
  save(text: string): void {
    const idle = this.#waiting === undefined;
    this.#waiting = text;
    if (!idle) return;
    this.#writing = this.#writing.then(async () => {
      const latest = this.#waiting ?? text;
      this.#waiting = undefined;
      try {
        await writeAtomically(this.path, latest);
      } catch (error) {
        this.log.warn(
          { err: error },
          'the snapshot for a start without PostgreSQL cannot be written',
        );
      }
    });
  }

  /** Resolves when all that was saved is on disk. */
  flush(): Promise<void> {
    return this.#writing;
  }
}

/** Replaces a file so that a reader, also after a crash, sees the old or the new content whole. */
async function writeAtomically(file: string, text: string): Promise<void> {
  const part = `${file}.part`;
  const handle = await open(part, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
