import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FaultCounter } from './fault-plan.js';

/**
 * Stands before PostgreSQL and makes the nth statement fail: before it has an effect, by an error of the server's own or
 * a cut of the connection; or after it, where the server has done it (COMMIT too) and the answer is lost.
 *
 * A statement is one Query message, or one group of the extended protocol up to its Sync (PostgreSQL manual, "Frontend/
 * Backend Protocol"). Only the connections of {@link SqlFaults.application} are counted.
 */
export class SqlFaults extends FaultCounter {
  /** Statements that are refused and never counted: those of work in the background that is to rest. */
  muted: RegExp | undefined;
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  constructor(
    private readonly target: URL,
    readonly application: string,
  ) {
    super();
  }

  /** The database's URL through here. */
  async open(): Promise<string> {
    const server = createServer((client) => {
      const onward = connect(Number(this.target.port), this.target.hostname);
      for (const socket of [client, onward]) {
        this.sockets.add(socket);
        socket.on('close', () => this.sockets.delete(socket));
      }
      new Connection(client, onward, this);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.server = server;
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((server.address() as AddressInfo).port);
    return url.href;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server?.close(resolve));
  }
}

/** What is done with the server's answers until it is ready for the next statement. */
type Answering = { swallow: true; done: () => void } | { swallow: false };

class Connection {
  private readonly fromClient = new Messages(false);
  private readonly fromServer = new Messages(true);
  private group: Buffer[] = [];
  private text = '';
  private readonly named = new Map<string, string>();
  private isCounted = false;
  private answering: Answering = { swallow: false };

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly faults: SqlFaults,
  ) {
    client.on('data', (bytes: Buffer) => {
      for (const message of this.fromClient.take(bytes)) this.asked(message);
    });
    server.on('data', (bytes: Buffer) => {
      client.cork();
      for (const message of this.fromServer.take(bytes)) this.answered(message);
      client.uncork();
    });
    for (const socket of [client, server]) {
      // An answer is many small messages, and nobody waits for more.
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => this.cut());
    }
  }

  private asked(message: Buffer): void {
    const type = this.fromClient.untyped ? '' : String.fromCharCode(message[0] ?? 0);
    if (this.fromClient.untyped) {
      this.fromClient.untyped = false;
      this.isCounted = message.includes(`application_name\0${this.faults.application}\0`);
      this.server.write(message);
    } else if (type === 'Q') {
      this.statement(message.toString('utf8', 5, message.length - 1), message);
    } else if (type === 'S') {
      const bytes = Buffer.concat([...this.group, message]);
      this.group = [];
      this.statement(this.text, bytes);
    } else if ('PBDECHF'.includes(type)) {
      this.note(type, message);
      this.group.push(message);
    } else {
      this.server.write(message);
    }
  }

  /** Keeps the text of prepared statements, and that of the group's. */
  private note(type: string, message: Buffer): void {
    const [first = '', second = ''] = message.toString('latin1', 5).split('\0');
    if (type === 'P') {
      this.named.set(first, Buffer.from(second, 'latin1').toString());
      this.text = this.named.get(first) ?? '';
    }
    if (type === 'B') this.text = this.named.get(second) ?? '';
  }

  private statement(text: string, bytes: Buffer): void {
    const short = text.replace(/\s+/g, ' ').trim().slice(0, 100);
    if (!this.isCounted) return void this.server.write(bytes);
    if (this.faults.muted?.test(text)) return this.raise('57014');
    const plan = this.faults.next(short);
    if (!plan) return void this.server.write(bytes);
    const fail = () => (plan.kind === '57P01' ? this.shutDown() : this.cut());
    if (plan.effect === 'after') {
      this.answering = { swallow: true, done: fail };
      this.server.write(bytes);
    } else if (plan.kind === 'cut' || plan.kind === '57P01') {
      fail();
    } else if (/^COMMIT/i.test(short)) {
      // A commit that fails is a rollback.
      this.answering = { swallow: true, done: () => this.raise(plan.kind) };
      this.server.write(query('ROLLBACK'));
    } else {
      this.raise(plan.kind);
    }
  }

  private answered(message: Buffer): void {
    const { answering } = this;
    if (!answering.swallow) return void this.client.write(message);
    if (message[0] !== 'Z'.charCodeAt(0)) return;
    this.answering = { swallow: false };
    answering.done();
  }

  /** Lets the server itself fail, so that its transaction is in the state that the client believes. */
  private raise(code: string): void {
    const sql = `DO $$ BEGIN RAISE EXCEPTION 'an injected fault' USING ERRCODE = '${code}'; END $$`;
    this.server.write(query(sql));
  }

  /** What a client hears when its backend is told to end. */
  private shutDown(): void {
    const fields = [
      'SFATAL',
      'VFATAL',
      'C57P01',
      'Mterminating connection due to administrator command',
    ];
    this.client.end(framed('E', Buffer.from(`${fields.join('\0')}\0\0`)));
    this.server.destroy();
  }

  private cut(): void {
    // What the server has said before is passed on when it closes in an orderly way.
    if (this.client.writableEnded) return;
    this.client.destroy();
    this.server.destroy();
  }
}

/** Puts the bytes of a socket together to messages. */
class Messages {
  /** The first message of a client has no type. */
  untyped: boolean;
  private bytes = Buffer.alloc(0);

  constructor(isServer: boolean) {
    this.untyped = !isServer;
  }

  *take(bytes: Buffer): Generator<Buffer> {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    for (;;) {
      const head = this.untyped ? 0 : 1;
      if (this.bytes.length < head + 4) return;
      const length = head + this.bytes.readUInt32BE(head);
      if (this.bytes.length < length) return;
      const message = this.bytes.subarray(0, length);
      this.bytes = this.bytes.subarray(length);
      yield message;
    }
  }
}

function query(sql: string): Buffer {
  return framed('Q', Buffer.from(`${sql}\0`));
}

function framed(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
