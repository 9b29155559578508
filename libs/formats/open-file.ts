import { constants } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { DamagedModel, type UploadedFile } from './importer.js';

/** A file on this machine as a file of an upload. */
export async function openFile({
  path,
  file,
}: {
  path: string;
  file: string;
}): Promise<UploadedFile> {
  const found = await lstat(file);
  // A symbolic link is never one of our blobs.
  if (!found.isFile()) throw new DamagedModel(`${path} is not a regular file.`);
  const { size } = found;
  return {
    path,
    size,
    async read(offset = 0, length = size) {
      const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        return await readFrom(handle, offset, Math.max(0, Math.min(length, size - offset)));
      } finally {
        await handle.close();
      }
    },
  };
}

async function readFrom(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw new Error('A file became shorter while it was read.');
    done += bytesRead;
  }
  return bytes;
}
