import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ContainedProcess } from './contained-process.js';
import { mayHoldPickle, type Scan } from './pickle/scan.js';
import type { ScanProgress } from './scan-child.js';

export { isNamedAsPickle, type Scan, SCANNER } from './pickle/scan.js';

export interface ScanRequest {
  /** Path in the manifest, and the absolute path of the file on this machine. */
  files: { path: string; file: string }[];
  limits?: ScanLimits;
  /** Ends the scanning process; the call then fails with the signal's reason. */
  stop?: AbortSignal;
}

export interface ScanLimits {
  /** For each file; 20 s by default. */
  milliseconds?: number;
  /** Bytes; 2 GiB by default. */
  memory?: number;
}

const LIMITS: Required<ScanLimits> = { milliseconds: 20_000, memory: 2 * 2 ** 30 };
/** A hostile upload must not hold the scanner for ever: what comes after so many files that ended it is not read. */
const MOST_LOST = 5;
const HEAD_BYTES = 64;

const entry = fileURLToPath(new URL('./scan-child.js', import.meta.url));

/**
 * Scans the files of an upload for what loading them in Python would bring in: in a child process with limits, because they
 * may be hostile. A file that ends the process, or takes too long, is `unreadable` and the others keep theirs. Answers by the
 * path in the manifest; null: there is no pickle in the file.
 */
export async function scanFiles({
  files,
  limits,
  stop,
}: ScanRequest): Promise<Map<string, Scan | null>> {
  const scans = new Map<string, Scan | null>(files.map(({ path }) => [path, null]));
  let left: ScanRequest['files'] = [];
  for (const file of files) if (await isSuspect(file)) left.push(file);
  for (let lost = 0; left.length > 0; lost++) {
    stop?.throwIfAborted();
    if (lost === MOST_LOST) {
      const reason = 'Too many files of this version could not be read; this one was not tried.';
      for (const { path } of left) scans.set(path, { verdict: 'unreadable', names: [], reason });
      break;
    }
    const { done, reason } = await scanSome(left, { ...LIMITS, ...limits }, scans, stop);
    const failed = left[done];
    if (failed) scans.set(failed.path, { verdict: 'unreadable', names: [], reason });
    left = left.slice(done + 1);
  }
  stop?.throwIfAborted();
  return scans;
}

async function isSuspect({ path, file }: ScanRequest['files'][number]): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const head = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
    return mayHoldPickle(path, head.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** Answers how many files were scanned before the process ended, and why it ended. */
function scanSome(
  files: ScanRequest['files'],
  { milliseconds, memory }: Required<ScanLimits>,
  scans: Map<string, Scan | null>,
  stop: AbortSignal | undefined,
): Promise<{ done: number; reason: string }> {
  const child = ContainedProcess.start({ entry, memory, cwd: tmpdir(), background: true });
  const end = () => child.kill('was stopped');
  stop?.addEventListener('abort', end);
  let done = 0;
  let text = '';
  let timer: NodeJS.Timeout | undefined;
  const limit = () => {
    clearTimeout(timer);
    timer = setTimeout(
      () => child.kill(`did not end within ${milliseconds / 1000} s`),
      milliseconds,
    );
  };
  const hear = (progress: ScanProgress) => {
    limit();
    if ('begins' in progress) return;
    const file = files[progress.ends];
    if (file) scans.set(file.path, progress.scan);
    done = progress.ends + 1;
    if (done === files.length) child.kill('has answered');
  };
  child.channel.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) hear(JSON.parse(line) as ScanProgress);
  });
  limit();
  child.send(files);
  return new Promise((resolve) => {
    child.once('end', (ended) => {
      clearTimeout(timer);
      stop?.removeEventListener('abort', end);
      resolve({ done, reason: `Reading the file ${ended.reason}; it is not known what is in it.` });
    });
  });
}
