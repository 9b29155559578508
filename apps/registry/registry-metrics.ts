import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { Counter, Gauge } from 'prom-client';
import { DataSource } from 'typeorm';
import { GarbageCollector, UploadService } from '#artifacts';
import { addPoolMetrics, HotPool } from '#database';
import { Metrics } from '#platform';
import { EventsService, IdempotencyKeys, StagesService, VersionsService } from '#registry';
import { DatabaseFigures } from './database-figures.js';

/** What the registry tells Prometheus beside its requests: services count, and this reads their counts at a scrape. */
@Injectable()
export class RegistryMetrics {
  constructor(
    private readonly metrics: Metrics,
    private readonly figures: DatabaseFigures,
    @InjectDataSource() dataSource: DataSource,
    stages: StagesService,
    versions: VersionsService,
    uploads: UploadService,
    garbage: GarbageCollector,
    keys: IdempotencyKeys,
    events: EventsService,
  ) {
    this.counter('transitions', 'Changes of stages and aliases that were made', {
      kind: () => stages.counts,
    });
    this.counter('versions_created', 'Versions that were logged', () => versions.created);
    this.counter('uploads', 'Uploads of clients, by how far they came', {
      step: () => {
        const { begun, finished, cancelled } = uploads.counts;
        return { begun, finished, cancelled };
      },
    });
    this.counter('upload_bytes', 'Bytes that clients sent to uploads', () => uploads.counts.bytes);
    this.counter(
      'idempotent_repeats',
      'Requests that were answered with what the first one of their Idempotency-Key did',
      () => keys.repeats,
    );
    this.counter('garbage', 'What garbage collection removed', {
      kind: () => ({ blobs: garbage.counts.blobs, uploads: garbage.counts.uploads }),
    });
    this.counter(
      'garbage_bytes',
      'Bytes that garbage collection removed',
      () => garbage.counts.bytes,
    );
    this.gauge(
      'garbage_last_pass_timestamp_seconds',
      'When this process last came to the end of a pass of garbage collection; 0: not yet',
      () => garbage.counts.lastPass / 1000,
    );
    this.gauge('event_listeners', 'Open event streams', () => events.listeners);
    this.figure('blobs', 'Stored blobs; above 200,000 an estimate', 'blobs');
    this.figure(
      'blob_bytes',
      'Bytes of the stored blobs; above 200,000 blobs an estimate',
      'blobBytes',
    );
    this.figure('compile_jobs_waiting', 'Versions that wait to be compiled', 'compileWaiting');
    this.figure(
      'compile_jobs_running',
      'Versions that are being compiled, by any replica',
      'compileRunning',
    );
    addPoolMetrics(metrics.registry, { registry: HotPool.of(dataSource).pool });
  }

  /** A counter whose value, or whose values by one label, are kept elsewhere. */
  private counter(
    name: string,
    help: string,
    read: (() => number) | Record<string, () => Record<string, number>>,
  ): void {
    const labels = typeof read === 'function' ? [] : Object.keys(read);
    new Counter({
      name: `slipway_registry_${name}_total`,
      help,
      labelNames: labels,
      registers: [this.metrics.registry],
      collect() {
        this.reset();
        if (typeof read === 'function') {
          this.inc(read());
          return;
        }
        for (const [label, values] of Object.entries(read)) {
          for (const [word, value] of Object.entries(values())) this.inc({ [label]: word }, value);
        }
      },
    });
  }

  private gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `slipway_registry_${name}`,
      help,
      registers: [this.metrics.registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** Without a value until the database has told one. */
  private figure(
    name: string,
    help: string,
    which: 'blobs' | 'blobBytes' | 'compileWaiting' | 'compileRunning',
  ): void {
    const { figures } = this;
    new Gauge({
      name: `slipway_registry_${name}`,
      help,
      registers: [this.metrics.registry],
      async collect() {
        const newest = await figures.newest();
        this.remove();
        if (newest) this.set(newest[which]);
      },
    });
  }
}
