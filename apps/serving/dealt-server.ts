import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { answerBrokenRequests } from '#platform';
import type { Front } from './front.js';

/** After a drain began, idle connections stay open this long: a request that was just sent on one is still answered. */
const DRAIN_GRACE = 1000;
const DRAIN_LOOK = 20;
const KEEP_ALIVE = 75_000;

/** The HTTP server of a worker: it listens nowhere, its connections are dealt by the supervisor. */
export class DealtServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(private readonly front: Front) {
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE, noDelay: true }, front.handle);
    this.#server.on('checkContinue', front.handle);
    answerBrokenRequests(this.#server, (problem) => front.refusal(problem));
    // The time limits of slow clients begin with this event only.
    this.#server.emit('listening');
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#server.emit('connection', socket);
    socket.resume();
  }

  /** Answers what comes in still, closes each connection after an answer, and ends when none is left. */
  async drain(): Promise<void> {
    this.front.draining = true;
    const graceEnds = Date.now() + DRAIN_GRACE;
    while (this.#sockets.size) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK));
      if (Date.now() > graceEnds) this.#closeIdle();
    }
  }

  #closeIdle(): void {
    this.#server.closeIdleConnections();
    // To Node a connection that has never said a word is not idle; browsers keep such ones in stock.
    for (const socket of this.#sockets) if (!socket.bytesRead) socket.destroy();
  }
}
