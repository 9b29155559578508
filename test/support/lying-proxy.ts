import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { flipped } from './stored-blobs.js';

/** Ways in which a store can answer a read of bytes wrongly. */
export const lies = [
  'cut, and the connection broken',
  'cut, with a Content-Length to match',
  'a bit flipped',
  'the bytes of another blob',
  'the right status, then a reset',
  'no such object',
  'bytes twice',
  'a hole of zeros',
  'more bytes than there are',
] as const;
export type Lie = (typeof lies)[number];

/** Decides for a read of a blob which lie is told, if any. */
export type Liar = (digest: string) => Lie | undefined;

/** Stands before an S3 server and lies about the bytes of blobs, as `liar` says. Everything else passes as it is. */
export class LyingProxy {
  liar: Liar = () => undefined;
  /** Lies that were told. */
  told = 0;
  private last: Buffer = Buffer.from('another blob');
  private readonly server = createServer((incoming, outgoing) => {
    void this.pass(incoming, outgoing).catch(() => outgoing.destroy());
  });

  constructor(private readonly target: URL) {}

  async start(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method, url: path, headers } = incoming;
    const { hostname, port } = this.target;
    // The signature is over the headers as they are, the Host of this proxy included.
    const onward = request({ hostname, port, method, path, headers });
    incoming.pipe(onward);
    onward.on('error', () => outgoing.destroy());
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    const hex = /\/blobs\/sha256\/..\/([0-9a-f]{64})$/.exec(path ?? '')?.[1];
    const whole = method === 'GET' && hex !== undefined && (answer.statusCode ?? 500) < 300;
    if (!whole) {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
      return;
    }
    const body = await buffer(answer);
    const lie = this.liar(`sha256:${hex}`);
    if (lie === undefined) {
      this.last = body;
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders).end(body);
      return;
    }
    this.told += 1;
    this.tell(lie, body, answer, outgoing);
  }

  private tell(lie: Lie, body: Buffer, answer: IncomingMessage, outgoing: ServerResponse): void {
    const at = Math.floor(Math.random() * body.length);
    const headers = { ...answer.headers, 'content-length': String(body.length) };
    const status = answer.statusCode ?? 200;
    const send = (bytes: Buffer): void => {
      headers['content-length'] = String(bytes.length);
      outgoing.writeHead(status, headers).end(bytes);
    };
    switch (lie) {
      case 'cut, and the connection broken':
        outgoing.writeHead(status, headers).write(body.subarray(0, at), () => outgoing.destroy());
        return;
      case 'the right status, then a reset':
        outgoing.writeHead(status, headers).flushHeaders();
        outgoing.socket?.resetAndDestroy();
        return;
      case 'cut, with a Content-Length to match':
        return send(body.subarray(0, at));
      case 'a bit flipped':
        return send(flipped(body, at));
      case 'the bytes of another blob':
        return send(Buffer.alloc(body.length, flipped(this.last, 0)));
      case 'bytes twice': {
        const length = Math.min(1 + at, 4096);
        return send(Buffer.concat([body.subarray(0, length), body]).subarray(0, body.length));
      }
      case 'a hole of zeros':
        return send(Buffer.from(body).fill(0, at, at + 4096));
      case 'more bytes than there are':
        return send(Buffer.concat([body, body.subarray(at)]));
      case 'no such object':
        outgoing
          .writeHead(404, { 'content-type': 'application/xml' })
          .end('<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>');
    }
  }
}
