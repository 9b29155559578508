import { type DynamicModule, Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { Config, Logger, Metrics, Stopping } from '#platform';
import { ErrorFilter } from './error.filter.js';
import { JsonBody } from './json-body.js';
import { ValidateDto } from './validation.js';

/** What every app can inject without importing a module: `Config`, `Logger`, `Metrics`, `Stopping`; JSON
 * bodies, their validation, and one shape of errors. */
@Global()
@Module({})
export class PlatformModule {
  static with(config: Config, logger: Logger): DynamicModule {
    return {
      module: PlatformModule,
      providers: [
        { provide: Config, useValue: config },
        { provide: Logger, useValue: logger },
        { provide: Metrics, useFactory: () => new Metrics('registry') },
        Stopping,
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: APP_INTERCEPTOR, useClass: JsonBody },
        { provide: APP_PIPE, useClass: ValidateDto },
      ],
      exports: [Config, Logger, Metrics, Stopping],
    };
  }
}
