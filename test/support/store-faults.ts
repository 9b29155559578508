import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { FaultCounter, type FaultPlan } from './fault-plan.js';

/**
 * Stands before an S3 server and makes the nth request fail: before the server has it (a cut, `500`, `503`), or after the
 * server has done it, with its answer lost (`cut`) or never sent (`silence`).
 */
export class StoreFaults extends FaultCounter {
  private readonly agent = new http.Agent({ keepAlive: true });
  private readonly server: http.Server;

  constructor(private readonly target: URL) {
    super();
    this.server = http.createServer((request, response) => {
      const call = `${request.method} ${request.url?.replace(/^[^?]*\/(?=[^/?]*)/, '…/')}`;
      this.pass(request, response, this.next(call));
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.agent.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private pass(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    plan: FaultPlan | undefined,
  ): void {
    if (plan?.effect === 'before') return refuse(request, response, plan.kind);
    const { method, url: path, rawHeaders } = request;
    // The signature is over the Host header, which stays as the client wrote it.
    const onward = http.request(this.target, { method, path, agent: this.agent, setHost: false });
    for (let i = 0; i < rawHeaders.length; i += 2)
      onward.setHeader(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
    onward.on('error', () => response.destroy());
    onward.on('response', (answer) => {
      if (plan) {
        answer.resume().on('end', () => plan.kind === 'silence' || response.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    request.pipe(onward);
  }
}

function refuse(request: http.IncomingMessage, response: http.ServerResponse, kind: string): void {
  if (kind === 'cut') return void request.socket.destroy();
  const code = kind === '503' ? 'SlowDown' : 'InternalError';
  request.resume().on('end', () => {
    response.writeHead(Number(kind), { 'content-type': 'application/xml' });
    response.end(
      `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${kind}</Message></Error>`,
    );
  });
}
