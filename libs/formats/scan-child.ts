import { deserialize } from 'node:v8';
import { endWithParent, openChannel } from './contained-child.js';
import { openFile } from './open-file.js';
import { type Scan, scanFile } from './pickle/scan.js';

/** What the scanning process says while it works: about files by their number. */
export type ScanProgress = { begins: number } | { ends: number; scan: Scan | null };

endWithParent();
const channel = openChannel();
const received: Buffer[] = [];
channel.on('data', (chunk: Buffer) => {
  received.push(chunk);
  const bytes = Buffer.concat(received);
  const length = bytes.length >= 4 ? bytes.readUInt32LE(0) : Infinity;
  if (bytes.length < 4 + length) {
    received.splice(0, received.length, bytes);
    return;
  }
  channel.removeAllListeners('data');
  void scanAll(deserialize(bytes.subarray(4)) as { path: string; file: string }[]);
});

async function scanAll(files: { path: string; file: string }[]): Promise<void> {
  for (const [i, file] of files.entries()) {
    tell({ begins: i });
    tell({ ends: i, scan: (await scanFile(await openFile(file))) ?? null });
  }
}

function tell(progress: ScanProgress): void {
  channel.write(`${JSON.stringify(progress)}\n`);
}
