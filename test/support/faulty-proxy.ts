import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * Stands between a client and the server, and cuts connections: each entry of `cuts` is how many bytes one connection may
 * carry in a direction before it is destroyed; a connection without an entry lives.
 */
export class FaultyProxy {
  readonly cuts: { up?: number; down?: number }[] = [];
  /** Bytes that went from the client to the server. */
  up = 0;
  /** Connections that were cut. */
  cut = 0;
  readonly #open = new Set<Socket>();
  readonly #server: Server;

  constructor(private readonly port: number) {
    this.#server = createServer((client) => this.#connect(client));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  /** Cuts every connection that is open. */
  cutAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connect(client: Socket): void {
    const server = connect(this.port, '127.0.0.1');
    for (const socket of [client, server]) {
      this.#open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#open.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    let planned: { up?: number; down?: number } | undefined;
    let carried = 0;
    const pass = (way: 'up' | 'down', from: Socket, to: Socket) =>
      from.on('data', (bytes: Buffer) => {
        planned ??= this.cuts[0];
        const limit = planned?.[way];
        if (limit !== undefined && carried + bytes.length > limit && this.cuts[0] === planned) {
          this.cuts.shift();
          this.cut++;
          if (way === 'up') this.up += limit - carried;
          // What is under way arrives, as far as it may.
          to.write(bytes.subarray(0, limit - carried), () => client.destroy());
          return;
        }
        if (limit !== undefined) carried += bytes.length;
        if (way === 'up') this.up += bytes.length;
        if (!to.write(bytes)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    pass('up', client, server);
    pass('down', server, client);
  }
}
