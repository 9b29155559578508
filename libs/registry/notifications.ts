import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import pg from 'pg';
import { DataSource } from 'typeorm';

const reconnectAfter = 1000;

/**
 * PostgreSQL's notifications, on one connection of their own. They are hints: every listener must also look by itself
 * from time to time, and is called once after each reconnection, when notifications may have been missed.
 */
@Injectable()
export class Notifications implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Notifications.name);
  private readonly listeners = new Map<string, Set<(payload: string) => void>>();
  private client: pg.Client | undefined;
  private closed = false;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  onApplicationBootstrap(): void {
    void this.connect();
  }

  async onApplicationShutdown(): Promise<void> {
    this.closed = true;
    await this.client?.end().catch(() => undefined);
  }

  /** Calls the listener at each notification of the channel; returns what ends that. */
  on(channel: string, listener: (payload: string) => void): () => void {
    let listeners = this.listeners.get(channel);
    if (!listeners) {
      listeners = new Set();
      this.listeners.set(channel, listeners);
      // Kept for good: whoever listens again finds the connection listening.
      void this.client?.query(`LISTEN ${channel}`).catch(() => undefined);
    }
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Resolves at the next notification of the channel, after so many milliseconds, or when the signal is aborted. */
  next(channel: string, milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stop();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      const stop = this.on(channel, done);
      signal?.addEventListener('abort', done);
    });
  }

  private async connect(): Promise<void> {
    const { options } = this.dataSource;
    const url = 'url' in options && typeof options.url === 'string' ? options.url : undefined;
    while (!this.closed) {
      const client = new pg.Client({
        connectionString: url,
        application_name: 'slipway notifications',
      });
      try {
        await this.listen(client);
      } catch (error) {
        this.logger.debug(`Notifications are away: ${String(error)}`);
      }
      await client.end().catch(() => undefined);
      if (!this.closed) await new Promise((resolve) => setTimeout(resolve, reconnectAfter).unref());
    }
  }

  /** Returns when the connection is lost. */
  private async listen(client: pg.Client): Promise<void> {
    const lost = new Promise<void>((resolve) => {
      client.on('error', () => resolve());
      client.on('end', () => resolve());
    });
    client.on('notification', ({ channel, payload }) => this.tell(channel, payload ?? ''));
    await client.connect();
    for (const channel of this.listeners.keys()) await client.query(`LISTEN ${channel}`);
    this.client = client;
    for (const channel of this.listeners.keys()) this.tell(channel, '');
    await lost;
    this.client = undefined;
  }

  private tell(channel: string, payload: string): void {
    for (const listener of this.listeners.get(channel) ?? []) listener(payload);
  }
}
