import { type DynamicModule, Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { Config } from './config.js';
import { ErrorFilter } from './error.filter.js';
import { Logger } from './log.js';
import { Metrics } from './metrics.js';
import { validationPipe } from './validation.js';

/** What every app can inject without importing a module: `Config`, `Logger`, `Metrics`; and one shape of errors. */
@Global()
@Module({})
export class PlatformModule {
  static with(config: Config, logger: Logger): DynamicModule {
    return {
      module: PlatformModule,
      providers: [
        { provide: Config, useValue: config },
        { provide: Logger, useValue: logger },
        Metrics,
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: APP_PIPE, useFactory: validationPipe },
      ],
      exports: [Config, Logger, Metrics],
    };
  }
}
