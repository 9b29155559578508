import { bytesFrom, verified } from '../download.js';
import { createHasher } from '../hasher.js';
import type { ManifestFile } from '../resources.js';
import { SlipwayError } from '../slipway-error.js';
import type { Transport } from '../transport.js';
import { inspectFile, openPartial, targetIn } from './files.js';

/**
 * Brings one file of a version to a folder. A file that is there with these bytes is left alone; what an earlier
 * attempt left beside it is gone on with. Says whether anything was fetched.
 */
export async function pullFile(
  transport: Transport,
  url: string,
  folder: string,
  file: ManifestFile,
  options: { signal: AbortSignal | undefined; onBytes: (received: number) => void },
): Promise<'fetched' | 'there'> {
  const target = targetIn(folder, file.path);
  const found = await inspectFile(target);
  if (found && found.size === file.size && (await found.digest()) === file.digest) return 'there';
  const partial = await openPartial(target);
  try {
    let hasher = await createHasher();
    let start = partial.size;
    if (start > file.size) start = 0;
    if (start > 0) for await (const bytes of partial.read()) hasher.update(bytes);
    else await partial.restart();
    try {
      await fetchInto(start);
    } catch (error) {
      const wrong = error instanceof SlipwayError && error.code === 'DIGEST_MISMATCH';
      if (!wrong) throw error;
      await partial.restart();
      if (start === 0) throw error;
      hasher = await createHasher();
      await fetchInto(0);
    }
    await partial.finish();

    async function fetchInto(from: number): Promise<void> {
      let received = from;
      const bytes = bytesFrom(transport, url, {
        start: from,
        size: file.size,
        signal: options.signal,
      });
      for await (const piece of verified(bytes, hasher, file.digest, file.path)) {
        await partial.write(piece);
        options.onBytes((received += piece.length));
      }
    }
  } finally {
    await partial.close();
  }
  return 'fetched';
}
