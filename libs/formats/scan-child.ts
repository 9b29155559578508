import { endWithParent, openChannel, requestOf } from './contained-child.js';
import { openFile } from './open-file.js';
import { type Scan, scanFile } from './pickle/scan.js';

/** What the scanning process says while it works: about files by their number. */
export type ScanProgress = { begins: number } | { ends: number; scan: Scan | null };

endWithParent();
const channel = openChannel();
void scanAll();

async function scanAll(): Promise<void> {
  const files = await requestOf<{ path: string; file: string }[]>(channel);
  for (const [i, file] of files.entries()) {
    tell({ begins: i });
    tell({ ends: i, scan: (await scanFile(await openFile(file))) ?? null });
  }
}

function tell(progress: ScanProgress): void {
  channel.write(`${JSON.stringify(progress)}\n`);
}
