import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Response } from 'express';
import { DataSource } from 'typeorm';
import { ArtifactStore } from '#artifacts';
import { Config, hideSecrets, isStarting, Metrics, METRICS_TYPE, Stopping } from '#platform';

const CHECK_TIMEOUT = 2000;

/** What orchestrators and Prometheus ask. */
@ApiExcludeController()
@Controller()
export class HealthController {
  private readonly database: Check;
  private readonly artifacts: Check;

  constructor(
    @InjectDataSource() dataSource: DataSource,
    store: ArtifactStore,
    private readonly metrics: Metrics,
    private readonly config: Config,
    private readonly stopping: Stopping,
  ) {
    this.database = new Check(() => dataSource.query('SELECT 1'));
    this.artifacts = new Check(() => store.check());
  }

  /** 200 while the process can answer at all. */
  @Get('livez')
  live(): { live: true } {
    return { live: true };
  }

  /** 200 where the database and the store answer; else, and while the process stops, 503 that says why. */
  @Get('readyz')
  async ready(@Res() response: Response): Promise<void> {
    const [database, store] = await Promise.all([this.database.answer(), this.artifacts.answer()]);
    const starting = isStarting(this.config);
    const stopping = this.stopping.signal.aborted;
    const ready = database === 'ok' && store === 'ok' && !starting && !stopping;
    if (!ready) response.setHeader('Retry-After', '1');
    response.status(ready ? 200 : 503).json({
      ready,
      database,
      store,
      ...(starting && { starting }),
      ...(stopping && { stopping }),
    });
  }

  @Get('metrics')
  @Header('Cache-Control', 'no-store')
  async prometheus(@Res() response: Response): Promise<void> {
    const text = await this.metrics.text();
    response.setHeader('Content-Type', METRICS_TYPE);
    response.end(text);
  }
}

/** Something that must answer. One question at a time is under way, however many ask: what hangs must not pile up. */
class Check {
  private running: Promise<string> | undefined;

  constructor(private readonly ask: () => Promise<unknown>) {}

  /** `ok`, or what is wrong; within two seconds. */
  async answer(): Promise<string> {
    this.running ??= this.run().finally(() => (this.running = undefined));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('no answer within 2 s'), CHECK_TIMEOUT);
    });
    const answer = await Promise.race([this.running, late]);
    clearTimeout(timer);
    return answer;
  }

  private async run(): Promise<string> {
    try {
      await this.ask();
      return 'ok';
    } catch (error) {
      return hideSecrets(reasonOf(error));
    }
  }
}

/** An error of a connection that was tried at several addresses has no message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message)
    return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message || error.name : String(error);
}
