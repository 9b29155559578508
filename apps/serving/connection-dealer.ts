import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Logger } from '#platform';

/** A process that takes connections. */
export interface ConnectionTaker {
  /** Whether it can take one now. */
  readonly available: boolean;
  give(connection: number, socket: Socket): void;
}

/** Connections that may wait while no process can take one. */
const MAX_WAITING = 4096;

/**
 * Accepts connections and deals them out in turn. The supervisor holds the port (not its workers, as with node:cluster), so
 * that connections wait, and are not refused, while the only worker is being replaced; one that was given to a worker which
 * died before it said that it had it goes to the next.
 */
export class ConnectionDealer {
  readonly #server: Server;
  readonly #given = new Map<number, { socket: Socket; taker: ConnectionTaker }>();
  readonly #waiting: Socket[] = [];
  #next = 0;
  #turn = 0;

  constructor(
    private readonly takers: readonly ConnectionTaker[],
    private readonly log: Logger,
  ) {
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on('error', () => undefined);
      this.#deal(socket);
    });
  }

  /** Connections that wait until a process can take one. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Opens the port; gives its number. Rejects with the error of the operating system. */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 1024 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.log.error({ err: error }, 'a connection could not be accepted'),
        );
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** A worker has the connection: ours is closed, which the client does not notice. */
  took(connection: number): void {
    this.#given.get(connection)?.socket.destroy();
    this.#given.delete(connection);
  }

  /** A worker can take connections (again). */
  flush(): void {
    for (const socket of this.#waiting.splice(0)) this.#deal(socket);
  }

  /** A worker is gone; what it did not have yet is dealt anew. */
  lost(taker: ConnectionTaker): void {
    for (const [connection, given] of this.#given) {
      if (given.taker !== taker) continue;
      this.#given.delete(connection);
      this.#deal(given.socket);
    }
  }

  /** Closes the port; what waits is closed too. */
  close(): void {
    this.#server.close();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
  }

  #deal(socket: Socket): void {
    if (socket.destroyed) return;
    for (let i = 0; i < this.takers.length; i++) {
      const taker = this.takers[this.#turn++ % this.takers.length];
      if (!taker?.available) continue;
      const connection = this.#next++;
      this.#given.set(connection, { socket, taker });
      taker.give(connection, socket);
      return;
    }
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(socket);
    else socket.destroy();
  }
}
