import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';

/**
 * How a proxy treats connections. `swallow`: they are open, new ones too, and nothing comes through; those that were open
 * then never hear of the other side again. `reset`: each is reset at once. `slow`: 64 KiB a second and direction.
 */
export type Treatment = 'pass' | 'swallow' | 'reset' | 'slow';

const SLOW_BYTES = 6_554;
const SLOW_PAUSE = 100;

/** Stands between a process and a server, so that a test can cut them off from each other. */
export class TcpProxy {
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #treatment: Treatment = 'pass';

  constructor(private readonly target: URL) {}

  /** Opens, or opens again at the same port; gives the target's URL through this proxy. */
  async open(): Promise<string> {
    const server = createServer((socket) => this.#take(socket));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  /** Cuts every connection and refuses new ones. */
  async cut(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server?.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** From now on; of those that are open, `swallow` silences all, `reset` and `slow` end all. */
  treat(treatment: Treatment): void {
    this.#treatment = treatment;
    for (const socket of this.#sockets) {
      if (treatment === 'swallow') silence(socket);
      else if (treatment === 'reset') socket.resetAndDestroy();
      else if (treatment === 'slow') socket.destroy();
    }
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    if (this.#treatment === 'reset') socket.resetAndDestroy();
    else if (this.#treatment === 'swallow') silence(socket);
    else this.#join(socket, connect(Number(this.target.port), this.target.hostname));
  }

  #join(socket: Socket, onward: Socket): void {
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        // What came whole is passed on whole, by the pipe; else nobody is there any more.
        if (!silent.has(to) && !from.readableEnded) to.destroy();
      });
      if (this.#treatment === 'slow') from.pipe(slowly()).pipe(to);
      else from.pipe(to);
    }
  }
}

const silent = new WeakSet<Socket>();

/** Takes what comes, and says nothing any more. */
function silence(socket: Socket): void {
  silent.add(socket);
  socket.unpipe();
  socket.resume();
}

function slowly(): Transform {
  return new Transform({
    highWaterMark: SLOW_BYTES,
    async transform(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; at += SLOW_BYTES) {
        this.push(chunk.subarray(at, at + SLOW_BYTES));
        await new Promise((resolve) => setTimeout(resolve, SLOW_PAUSE));
      }
      done();
    },
  });
}
