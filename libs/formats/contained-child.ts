import { Socket } from 'node:net';
import { Worker, isMainThread } from 'node:worker_threads';

/**
 * The inside of a contained process: call it first. From then on the process ends as soon as its standard input is closed,
 * that is, when its parent ends in any way. A thread of its own watches, because the main thread may be frozen in native code.
 */
export function endWithParent(): void {
  new Worker(new URL(import.meta.url), { stdin: false }).unref();
}

/** The other end of `ContainedProcess.channel`. */
export function openChannel(): Socket {
  return new Socket({ fd: 3, readable: true, writable: true });
}

if (!isMainThread) {
  const input = new Socket({ fd: 0, readable: true, writable: false });
  const end = () => process.kill(process.pid, 'SIGKILL');
  input.on('close', end).on('error', end).resume();
}
