import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Module, type NestApplicationOptions, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import {
  answerBrokenRequests,
  checkAccess,
  type Config,
  contextOf,
  createLogger,
  type Logger,
  Metrics,
  notListening,
  sendProblem,
  Stopping,
} from '#platform';
import { Histogram } from 'prom-client';
import { FastExpressAdapter } from './fast-express.adapter.js';
import { nestLogger } from './nest-logger.js';
import { logRequest } from './request-log.js';
import { PlatformModule } from './platform.module.js';

export interface HttpApp {
  nest: NestExpressApplication;
  logger: Logger;
  /** Gives the port that it listens on. @throws StartError where the port is in use */
  listen(port: number, host: string): Promise<number>;
  /** Tells streams to end, lets running requests finish (30 s at most), then closes the modules. */
  close(): Promise<void>;
}

/** An app of the given module with everything that each request needs: see {@link enter}. Nothing listens yet;
 * with `preview` nothing runs either, and only the routes are known, for the OpenAPI document. */
export async function createHttpApp(
  module: Type | DynamicModule,
  config: Config,
  { logger = createLogger(config, 'registry'), configure, ...options }: HttpAppOptions = {},
): Promise<HttpApp> {
  const adapter = new FastExpressAdapter();
  const root = { module: HttpRoot, imports: [PlatformModule.with(config, logger), module] };
  const nest = await NestFactory.create<NestExpressApplication>(root, adapter, {
    logger: nestLogger(logger),
    bodyParser: false,
    abortOnError: false,
    routeConflictPolicy: { duplicate: 'error' },
    ...options,
  });
  if (!options.preview) {
    nest.use(enter(config, logger, nest.get(Metrics), adapter));
    answerBrokenRequests(nest.getHttpServer());
    configure?.(nest);
    await nest.init();
  }
  return {
    nest,
    logger,
    listen: (port, host) => listen(nest, port, host),
    close: async () => {
      nest.get(Stopping).begin();
      await adapter.close();
      await nest.close();
    },
  };
}

export interface HttpAppOptions extends Omit<NestApplicationOptions, 'logger' | 'bodyParser'> {
  logger?: Logger;
  /** Called before the routes are made: the place for `nest.use`. */
  configure?: (nest: NestExpressApplication) => void;
}

@Module({})
class HttpRoot {}

async function listen(nest: NestExpressApplication, port: number, host: string): Promise<number> {
  const server = nest.getHttpServer() as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(notListening(error, port, host)));
    server.listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** First station of each request: id, security headers, the check of access, log and metrics at its end. */
function enter(config: Config, logger: Logger, metrics: Metrics, adapter: FastExpressAdapter) {
  const check = checkAccess(config);
  const durations = new Histogram({
    name: 'slipway_http_request_duration_seconds',
    help: 'Time from the request line to the end of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [metrics.registry],
  });
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const begun = performance.now();
    const { trace } = contextOf(request);
    response.setHeader('x-request-id', trace);
    for (const [name, value] of isPage(request) ? PAGE_HEADERS : API_HEADERS) {
      response.setHeader(name, value);
    }
    if (adapter.isDraining) response.setHeader('connection', 'close');
    response.once('close', () => {
      const seconds = (performance.now() - begun) / 1000;
      const { method = '' } = request;
      const route = routeOf(request);
      durations.observe({ method, route, status: String(response.statusCode) }, seconds);
      logRequest(logger, { request, response, route, seconds });
    });
    const refusal = check(request);
    if (refusal) sendProblem(request, response, refusal, logger);
    else next();
  };
}

const COMMON_HEADERS: [string, string][] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
  ['cache-control', 'no-store'],
];
const API_HEADERS: [string, string][] = [
  ...COMMON_HEADERS,
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'; sandbox"],
];
/** Pages of our own: their scripts and styles come from here; swagger-ui styles its parts inline. */
const PAGE_HEADERS: [string, string][] = [
  ...COMMON_HEADERS,
  [
    'content-security-policy',
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; " +
      "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  ],
];

function isPage({ url = '' }: IncomingMessage): boolean {
  return /^\/($|\?|docs(\/|$|\?)|ui(\/|$|\?))/.test(url);
}

/** The pattern that the request matched: its paths would be names without number in metrics. */
function routeOf(request: IncomingMessage): string {
  const { route } = request as { route?: { path?: unknown } };
  return typeof route?.path === 'string' ? route.path : 'none';
}
