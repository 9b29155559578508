import {
  createServer,
  IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { type NestApplicationOptions, StreamableFile } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { Application } from 'express';
import { DomainError } from './errors.js';
import { writeJson } from './json.js';

const HEADERS_TIMEOUT = 20_000;
/** Longer than the 60 s after which usual proxies give an idle connection up, so that they do it first. */
const KEEP_ALIVE_TIMEOUT = 65_000;
const DRAIN_TIMEOUT = 30_000;
/** A request that was sent before its client could know is still answered. */
const DRAIN_GRACE = 500;

/**
 * Nest on Express without what makes Express slow. Express changes the prototype of every request and response, which
 * costs V8 its hidden classes and the server nine tenths of its throughput. Here node:http itself makes them with the
 * prototypes that Express wants, so that there is nothing to change.
 */
export class FastExpressAdapter extends ExpressAdapter {
  private draining = false;
  private readonly sockets = new Set<Socket>();

  constructor() {
    super();
    this.disable('x-powered-by');
    // Entity tags are those of the resources, not hashes of the text.
    this.set('etag', false);
  }

  override initHttpServer(_options: NestApplicationOptions): void {
    const express = this.getInstance<Application>();
    const server = createServer(
      {
        ...fastPrototypes(express),
        headersTimeout: HEADERS_TIMEOUT,
        keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
        // An upload may take hours; bodies have time limits of their own (JsonBody).
        requestTimeout: 0,
        connectionsCheckingInterval: 5_000,
      },
      express,
    );
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    this.setHttpServer(server);
  }

  /** True from the moment at which the server stops: answers then close their connections. */
  get isDraining(): boolean {
    return this.draining;
  }

  /** Takes no more connections, lets running requests end for 30 s, then cuts what is left. */
  override async close(): Promise<void> {
    if (this.draining) return;
    this.draining = true;
    const server = this.getHttpServer() as Server;
    if (!server.listening) return;
    // Not the server's own close(), which at once closes connections on which a request may be under way.
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(server, () => resolve());
    });
    const begun = Date.now();
    const sweep = setInterval(() => {
      if (Date.now() - begun > DRAIN_TIMEOUT) server.closeAllConnections();
      else if (Date.now() - begun > DRAIN_GRACE) this.closeIdle(server);
    }, 50);
    await closed;
    clearInterval(sweep);
    server.close();
  }

  private closeIdle(server: Server): void {
    server.closeIdleConnections();
    // To Node a connection that has never said a word is not idle; browsers keep such ones in stock.
    for (const socket of this.sockets) if (!socket.bytesRead) socket.destroy();
  }

  override reply(response: ServerResponse, body: unknown, status?: number): unknown {
    const json =
      typeof body === 'object' &&
      body !== null &&
      !(body instanceof StreamableFile) &&
      !Buffer.isBuffer(body);
    if (!json || response.hasHeader('content-type')) return super.reply(response, body, status);
    if (status !== undefined) response.statusCode = status;
    const text = writeJson(body);
    response.setHeader('content-type', 'application/json; charset=utf-8');
    response.setHeader('content-length', Buffer.byteLength(text));
    return response.end(text);
  }

  /** A path that exists under other methods is 405 and names them; Nest knows 404 only. */
  override setNotFoundHandler(): void {
    this.use((request: IncomingMessage, _response: ServerResponse, next: (e: unknown) => void) => {
      next(notFound(this.getInstance<Application>(), request));
    });
  }
}

/** Classes whose prototypes carry what Express adds; Express is told that these are its own. */
function fastPrototypes(app: Application): ServerOptions {
  class Request extends IncomingMessage {}
  class Response<R extends IncomingMessage> extends ServerResponse<R> {}
  const { request, response } = app as unknown as { request: object; response: object };
  flatten(Request.prototype, request, IncomingMessage.prototype);
  flatten(Response.prototype, response, ServerResponse.prototype);
  Object.assign(app, { request: Request.prototype, response: Response.prototype });
  return { IncomingMessage: Request, ServerResponse: Response };
}

/** Copies the properties of a chain of prototypes, `end` excluded, onto one; nearer ones win. */
function flatten(target: object, chain: object, end: object): void {
  for (let from: object | null = chain; from && from !== end; from = Object.getPrototypeOf(from)) {
    for (const key of Reflect.ownKeys(from)) {
      const descriptor = Object.getOwnPropertyDescriptor(from, key);
      if (key === 'constructor' || Object.hasOwn(target, key) || !descriptor) continue;
      Object.defineProperty(target, key, descriptor);
    }
  }
}

/** The part of Express' router that finds out which methods a path has. */
interface RouterLayer {
  match(path: string): boolean;
  route?: { methods: Record<string, boolean> };
}

function notFound(app: Application, request: IncomingMessage): DomainError {
  const { method = '', url = '' } = request;
  const path = url.split('?', 1)[0] ?? '';
  const layers = (app as unknown as { router: { stack: RouterLayer[] } }).router.stack;
  const methods = layers
    .filter((layer) => layer.route && layer.match(path))
    .flatMap(({ route }) => Object.keys(route?.methods ?? {}))
    .map((name) => name.toUpperCase())
    .filter((name) => name !== '_ALL' && name !== method);
  if (methods.length === 0) {
    return new DomainError(
      'NOT_FOUND',
      `There is nothing at ${method} ${path}; /docs says what there is.`,
    );
  }
  const allow = [...new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)].toSorted();
  return new DomainError(
    'METHOD_NOT_ALLOWED',
    `${path} knows ${allow.join(', ')}, not ${method}.`,
    {
      extra: { allow },
    },
  );
}
