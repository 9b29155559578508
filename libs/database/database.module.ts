import { type DynamicModule, Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Config, Logger } from '#platform';
import { databaseOptions, type Entities } from './data-source.js';
import { openDataSource } from './exact-json.js';
import { HotPool } from './hot-pool.js';

/** One connection pool an app: `DataSource`, repositories (by `TypeOrmModule.forFeature`) and `HotPool`. */
@Global()
@Module({})
export class DatabaseModule {
  static with(entities: Entities, name = 'slipway'): DynamicModule {
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          inject: [Config, Logger],
          useFactory: ({ DATABASE_URL }: Config, logger: Logger) => ({
            ...databaseOptions(DATABASE_URL, entities, {
              name,
              onLost: (err) => logger.warn({ err }, 'Lost a connection to PostgreSQL'),
            }),
            retryAttempts: 0,
          }),
          dataSourceFactory: (options) => openDataSource(options),
        }),
      ],
      providers: [
        {
          provide: HotPool,
          inject: [DataSource],
          useFactory: (dataSource: DataSource) => HotPool.of(dataSource),
        },
      ],
      exports: [HotPool],
    };
  }
}
