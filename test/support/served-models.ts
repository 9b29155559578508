import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { FolderArtifactStore, digestOf } from '#artifacts';
import { type Program, WeightsWriter } from '#program';
import pg from 'pg';

/** Models as rows and blobs, as the registry would have written them: for tests of serving alone. */
export class ServedModels {
  readonly store: FolderArtifactStore;
  readonly #client: pg.Client;
  #generation = 0;

  constructor(
    url: string,
    readonly folder: string,
  ) {
    this.store = new FolderArtifactStore(folder);
    this.#client = new pg.Client(url);
  }

  async open(): Promise<this> {
    await this.#client.connect();
    return this;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.#client.query<T>(text, values)).rows;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const hash = createHash('sha256').update(bytes);
    const digest = digestOf(hash);
    const staging = this.store.stage(randomUUID());
    const never = async (): Promise<void> => undefined;
    await staging.append(Readable.from([Buffer.from(bytes)]), never);
    await staging.save();
    await staging.commit(digest, never);
    return digest;
  }

  async model(name: string): Promise<string> {
    const [row] = await this.query<{ id: string }>(
      `INSERT INTO registered_model (name, created_by) VALUES ($1, 'test') RETURNING id`,
      [name],
    );
    return row?.id ?? '';
  }

  /** A servable version; gives the digest of its Program. */
  async version(
    modelId: string,
    version: number,
    { program, weights }: { program: Program; weights: Uint8Array },
    given: { example?: unknown; files?: Map<string, Uint8Array> } = {},
  ): Promise<string> {
    const stored: Program = {
      ...program,
      weights: { size: weights.length, digest: await this.put(weights) },
      files: await Promise.all(
        program.files.map(async (file) => {
          const bytes = given.files?.get(file.path) ?? new Uint8Array(0);
          return { path: file.path, size: bytes.length, digest: await this.put(bytes) };
        }),
      ),
    };
    const digest = await this.put(Buffer.from(JSON.stringify(stored)));
    await this.query(
      `INSERT INTO model_version (model_id, version, created_by, serving_state, program_digest, input_example, format)
       VALUES ($1, $2, 'test', 'servable', $3, $4, $5)`,
      [
        modelId,
        version,
        digest,
        given.example ? JSON.stringify(given.example) : null,
        program.format,
      ],
    );
    await this.query(`UPDATE registered_model SET last_version = $2 WHERE id = $1`, [
      modelId,
      version,
    ]);
    return digest;
  }

  /** What a promotion leaves behind for serving. */
  async follow(modelId: string, version: number | null): Promise<number> {
    const [row] = await this.query<{ generation: string }>(
      `INSERT INTO deployment (model_id, wanted, version, generation) VALUES ($1, $2, $2, nextval('deployment_generation'))
       ON CONFLICT (model_id, variant) DO UPDATE
         SET wanted = excluded.wanted, version = excluded.version, generation = excluded.generation
       RETURNING generation`,
      [modelId, version],
    );
    await this.query(`SELECT pg_notify('slipway_serving', $1)`, [modelId]);
    this.#generation = Number(row?.generation);
    return this.#generation;
  }

  /** Resolves when every live process has reported the state; gives the rows. */
  async settled(modelId: string, generation = this.#generation, seconds = 10): Promise<StateRow[]> {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const rows = await this.query<StateRow>(
        `SELECT s.* FROM serving_process p LEFT JOIN serving_state s
           ON s.replica = p.replica AND s.process = p.process AND s.model_id = $1
         WHERE p.heartbeat_at > now() - interval '10 seconds'`,
        [modelId],
      );
      const done = rows.every(
        (row) => Number(row.generation) >= generation && row.state !== 'loading',
      );
      if (rows.length && done) return rows;
      if (Date.now() > end) throw new Error(`not settled: ${JSON.stringify(rows)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

export interface StateRow {
  replica: string;
  process: number;
  wanted: number | null;
  answering: number | null;
  state: string;
  reason: string | null;
  generation: string;
}

/** A tree whose one test is `X[0] < 0.5`: answers `value` left and `value + 0.5` right; told apart by what it answers. */
export function stump(
  value: number,
  { trees = 1, features = 2 } = {},
): { program: Program; weights: Uint8Array } {
  const writer = new WeightsWriter();
  const repeat = (numbers: number[]): number[] =>
    Array.from({ length: trees }, () => numbers).flat();
  const forest = {
    features,
    trees,
    columns: 1,
    comparison: '<' as const,
    inputDtype: 'FP32' as const,
    sumDtype: 'FP64' as const,
    weights: {
      starts: writer.add(
        'INT32',
        Int32Array.from({ length: trees + 1 }, (_, i) => 3 * i),
      ),
      features: writer.add('INT32', Int32Array.from(repeat([0, -1, -1]))),
      thresholds: writer.add('FP64', Float64Array.from(repeat([0.5, 0, 0]))),
      left: writer.add(
        'INT32',
        Int32Array.from({ length: 3 * trees }, (_, i) =>
          i % 3 === 0 ? 1 : 2 * Math.floor(i / 3) + (i % 3) - 1,
        ),
      ),
      right: writer.add('INT32', Int32Array.from(repeat([2, 1, 2]))),
      flags: writer.add('UINT8', Uint8Array.from(repeat([0, 0, 0]))),
      values: writer.add(
        'FP64',
        Float64Array.from(repeat([value / trees, (value + 0.5) / trees])),
        [2 * trees, 1],
      ),
    },
  };
  const weights = writer.toBytes();
  const program: Program = {
    schemaVersion: 1,
    importer: 'test@1',
    format: 'xgboost',
    signature: {
      inputs: [{ name: 'X', dtype: 'FP32', shape: [-1, features] }],
      outputs: [{ name: 'predict', dtype: 'FP64', shape: [-1] }],
    },
    binding: { kind: 'table', matrix: { dtype: 'FP32', columns: features } },
    rowwise: true,
    nodes: [{ kind: 'forest', inputs: ['X'], outputs: ['predict', ''], forest }],
    weights: { size: weights.length },
    files: [],
  };
  return { program, weights };
}
