import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of a folder store, as a broken disk or a careless person sees them. */
export class StoredBlobs {
  /** @param folder DATA_DIR of the server */
  constructor(private readonly folder: string) {}

  pathOf(digest: string): string {
    const hex = digest.slice('sha256:'.length);
    return join(this.folder, 'artifacts', 'blobs', 'sha256', hex.slice(0, 2), hex);
  }

  read(digest: string): Promise<Buffer> {
    return readFile(this.pathOf(digest));
  }

  /** Other bytes, as any program writes them: the time of modification tells. */
  async alter(digest: string, bytes: Buffer): Promise<void> {
    await writeFile(this.pathOf(digest), bytes);
  }

  /** Other bytes that nothing tells but reading them: a disk that rots. */
  async rot(digest: string, bytes: Buffer): Promise<void> {
    const path = this.pathOf(digest);
    const { atime, mtime } = await stat(path);
    await writeFile(path, bytes);
    await utimes(path, atime, mtime);
  }
}

/** The bytes with one bit of byte `at` turned over. */
export function flipped(bytes: Buffer, at = Math.floor(bytes.length / 2)): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at);
  return copy;
}
