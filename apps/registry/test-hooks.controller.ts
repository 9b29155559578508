import { Controller, HttpCode, Post } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Config, DomainError, channels } from '#platform';

/** For tests of other programs; answers 404 unless `SLIPWAY_TEST_HOOKS=1`, which is refused off loopback. */
@ApiExcludeController()
@Controller('__test__')
export class TestHooksController {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly config: Config,
  ) {}

  /** Empties the registry: all models, versions, events. Blobs go with the next garbage collection. */
  @Post('reset')
  @HttpCode(204)
  async reset(): Promise<void> {
    if (!this.config.SLIPWAY_TEST_HOOKS) throw DomainError.notFound('POST /__test__/reset');
    await this.dataSource.query(
      `TRUNCATE registered_model, model_version, manifest_file, model_alias, transition, lineage_edge, dataset,
         compiled_program, compile_job, deployment, serving_state, quarantine, serving_minute, event, idempotency_key,
         blob_reference, upload`,
    );
    await this.dataSource.query(`NOTIFY ${channels.serving}`);
  }
}
