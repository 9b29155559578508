import { Socket } from 'node:net';
import { deserialize } from 'node:v8';
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

/** What the parent sends first, by `ContainedProcess.send`. */
export function requestOf<Request>(channel: Socket): Promise<Request> {
  const received: Buffer[] = [];
  let missing: number | undefined;
  return new Promise((resolve) => {
    channel.on('data', function receive(chunk: Buffer) {
      received.push(chunk);
      if (missing === undefined) {
        const head = Buffer.concat(received);
        received.splice(0, received.length, head);
        if (head.length < 4) return;
        missing = 4 + head.readUInt32LE(0) - head.length;
      } else missing -= chunk.length;
      if (missing > 0) return;
      channel.off('data', receive);
      resolve(deserialize(Buffer.concat(received).subarray(4)) as Request);
    });
  });
}

if (!isMainThread) {
  const input = new Socket({ fd: 0, readable: true, writable: false });
  const end = () => process.kill(process.pid, 'SIGKILL');
  input.on('close', end).on('error', end).resume();
}
