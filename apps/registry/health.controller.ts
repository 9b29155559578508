import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Response } from 'express';
import { DataSource } from 'typeorm';
import { ArtifactStore } from '#artifacts';
import { Config, isStarting, Metrics } from '#platform';

const checkTimeout = 2000;

/** What orchestrators and Prometheus ask. */
@ApiExcludeController()
@Controller()
export class HealthController {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly store: ArtifactStore,
    private readonly metrics: Metrics,
    private readonly config: Config,
  ) {}

  /** 200 while the process can answer at all. */
  @Get('livez')
  live(): { live: true } {
    return { live: true };
  }

  /** 200 where the database and the store answer; else 503 that says which does not. */
  @Get('readyz')
  async ready(@Res() response: Response): Promise<void> {
    const [database, store] = await Promise.all([
      answers(this.dataSource.query('SELECT 1')),
      answers(this.store.check()),
    ]);
    const starting = isStarting(this.config);
    const ready = database === 'ok' && store === 'ok' && !starting;
    if (!ready) response.setHeader('Retry-After', '1');
    response
      .status(ready ? 200 : 503)
      .json({ ready, database, store, ...(starting ? { starting } : {}) });
  }

  @Get('metrics')
  @Header('Cache-Control', 'no-store')
  async prometheus(@Res() response: Response): Promise<void> {
    const text = await this.metrics.text();
    response.setHeader('Content-Type', this.metrics.registry.contentType);
    response.end(text);
  }
}

async function answers(check: Promise<unknown>): Promise<string> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('no answer in time')), checkTimeout).unref();
  });
  try {
    await Promise.race([check, late]);
    return 'ok';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
