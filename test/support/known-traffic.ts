import type { KnownModel } from './known-models.js';
import { Connection } from './traffic.js';

/** One right answer of a model. Times are those of `performance.now()`. */
export interface Seen {
  sentAt: number;
  answeredAt: number;
  version: number;
}

/**
 * Constant load over several models: keep-alive connections that ask any of them, some rows at a time, and check every
 * number. What is not a right answer stands in `failed`.
 */
export class KnownTraffic {
  readonly failed: string[] = [];
  /** Right answers. */
  answers = 0;
  /** Sockets that were opened. */
  get sockets(): number {
    return this.#connections.reduce((sum, { sockets }) => sum + sockets, 0);
  }

  readonly #connections: Connection[];
  readonly #seen = new Map<KnownModel, Seen[][]>();
  #going = true;
  readonly #loops: Promise<void>[];

  /** @param pause milliseconds between an answer and the next request of a connection, on average */
  constructor(
    servingUrl: string,
    models: readonly KnownModel[],
    { connections = 32, pause = 50 } = {},
  ) {
    this.#connections = Array.from({ length: connections }, () => new Connection('', ''));
    for (const model of models)
      this.#seen.set(
        model,
        this.#connections.map(() => []),
      );
    this.#loops = this.#connections.map(async (connection, number) => {
      while (this.#going) {
        const model = models[Math.floor(Math.random() * models.length)];
        if (model) await this.#ask(servingUrl, connection, number, model);
        await sleep(2 * pause * Math.random());
      }
    });
  }

  /** What each connection was answered by a model, in order. */
  seen(model: KnownModel): Seen[][] {
    return this.#seen.get(model) ?? [];
  }

  /** Milliseconds that the answers took which were asked for between two moments. */
  latencies(from = -Infinity, to = Infinity): number[] {
    const all = [...this.#seen.values()].flat(2);
    return all
      .filter(({ sentAt }) => sentAt >= from && sentAt < to)
      .map(({ sentAt, answeredAt }) => answeredAt - sentAt);
  }

  /** Forgets the answers so far, which a long run has no room for. */
  forget(): void {
    for (const connections of this.#seen.values()) for (const seen of connections) seen.length = 0;
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
    for (const connection of this.#connections) connection.close();
  }

  async #ask(
    servingUrl: string,
    connection: Connection,
    number: number,
    model: KnownModel,
  ): Promise<void> {
    const rows = Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () =>
      Math.floor(Math.random() * 1000),
    );
    const body = JSON.stringify(model.request(rows));
    const answer = await connection.ask(`${servingUrl}/v2/models/${model.name}/infer`, body);
    connection.answers.length = 0;
    if (!answer) {
      const error = connection.errors.pop() as NodeJS.ErrnoException | undefined;
      this.failed.push(`${model.name}: ${error?.code ?? ''} ${error?.message}`);
      return sleep(20);
    }
    const { status, version, sentAt, answeredAt } = answer;
    const wrong =
      status === 200 ? model.wrong(answer, rows) : `${model.name}: ${status} ${answer.body}`;
    if (wrong !== undefined) {
      this.failed.push(wrong);
      return;
    }
    this.answers++;
    this.#seen.get(model)?.[number]?.push({ sentAt, answeredAt, version });
  }
}

/** The value that so many percent of the numbers do not exceed. */
export function percentile(numbers: number[], percent: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1);
  return sorted[Math.max(0, at)] ?? NaN;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
