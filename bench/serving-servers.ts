import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '#formats';
import { checkAccess, createLogger, readConfig } from '#platform';
import type { Program } from '#program';
import {
  CompartmentPool,
  type DesiredModel,
  ModelManager,
  ProgramLoader,
  RequestCounts,
  RunMarker,
} from '#serving';
import { Front } from '../apps/serving/front.js';
import { denseModel, forestModel } from './serving-models.js';

// The servers of `serving.ts`, one a process: `serving-servers.js forest | mlp | echo`. Each tells its port; asked `cpu` it
// tells the microseconds of processor time that it and its compartments have had, asked `pin N` it moves to that processor.

export type ServerKind = 'forest' | 'mlp' | 'echo';

/** A large model, which is brought into memory beside the other one when the server is told its name; for `loading.ts`. */
export type LargeKind = 'dense' | 'trees';

const MODEL = 'm';
/** 50 MB of weights. */
const LARGE_LAYERS = [2560, 2560, 2560, 3];
const LARGE_FOREST = { trees: 4000, depth: 8, features: 20 };

let compartments: CompartmentPool | undefined;

async function main(kind: ServerKind): Promise<void> {
  const models = kind === 'echo' ? undefined : await BenchModels.open(kind);
  process.on('message', (message: string) => {
    if (message === 'cpu') process.send?.(cpuTime());
    if (message === 'children') process.send?.(childrenOf());
    if (message === 'end') process.exit();
    if (message === 'dense' || message === 'trees')
      void models?.bring(message).then((ms) => process.send?.(ms));
  });
  const handler = models?.front.handle ?? echo;
  const server = createServer({ keepAliveTimeout: 75_000, noDelay: true }, handler);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

function childrenOf(): number[] {
  return compartments?.compartments.map(({ pid }) => pid) ?? [];
}

/** Of this process and of its compartments; microseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return childrenOf().reduce((sum, pid) => sum + cpuOf(pid), user + system);
}

function cpuOf(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [running] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
    nanoseconds += Number(running);
  }
  return nanoseconds / 1000;
}

/** Reads the same JSON as the front, and answers a document of the same size with its headers of content. */
function echo(...[request, response]: Parameters<RequestListener>): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    const { inputs } = JSON.parse(String(body)) as { inputs: { data: number[] }[] };
    const data = inputs[0]?.data ?? [];
    // The forest answers one float64 and the layers three float32: numbers with as many digits.
    const answer =
      data.length === 4
        ? { name: 'predict', shape: [1], datatype: 'FP64', data: [(data[0] ?? 0) / 0.7] }
        : { name: 'y', shape: [1, 3], datatype: 'FP32', data: data.slice(0, 3).map(eightDigits) };
    const text = JSON.stringify({ model_name: MODEL, model_version: '1', outputs: [answer] });
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  });
}

function eightDigits(value: number): number {
  return value + 0.1234567;
}

/** The serving side of the product in this process, with files in a folder in place of a store and a database. */
class BenchModels {
  readonly front: Front;
  readonly #manager: ModelManager;
  readonly #large: Partial<Record<LargeKind, string>> = {};
  #wishes: DesiredModel[] = [];
  #generation = 0;

  static async open(kind: 'forest' | 'mlp'): Promise<BenchModels> {
    const models = new BenchModels(mkdtempSync(join(tmpdir(), 'slipway-bench-')));
    const program = kind === 'forest' ? models.#forest({}) : await models.#onnx([16, 64, 64, 3]);
    models.#wish(MODEL, program);
    (await models.#manager.acquire(MODEL)).release();
    return models;
  }

  private constructor(private readonly folder: string) {
    const config = readConfig({ ...process.env, LOG_LEVEL: 'error' });
    const log = createLogger(config, 'bench');
    const marker = new RunMarker(openSync(join(folder, 'mark'), 'w+'));
    const timeout = 30_000;
    compartments = new CompartmentPool({ memory: 2 ** 30, timeout });
    const files = {
      hold: async (digest: string) => join(folder, digest.replace('sha256:', '')),
      release: () => undefined,
      discard: async () => undefined,
    };
    this.#manager = new ModelManager({
      loader: new ProgramLoader({ files, compartments, marker, timeout, log }),
      resolver: {
        resolve: async (): Promise<never> => {
          throw new Error('nothing is looked up here');
        },
      },
      observer: {
        stateChanged: () => undefined,
        stateGone: () => undefined,
        watchChanged: () => undefined,
        swapped: () => undefined,
        loaded: () => undefined,
        loadFailed: (_, retry) => console.error(retry),
      },
      memory: 2 ** 30,
      log,
    });
    this.front = new Front({
      config,
      manager: this.#manager,
      counts: new RequestCounts(),
      checkAccess: checkAccess(config),
      starting: () => false,
      metrics: async () => '',
      marker,
      version: '0',
      log,
    });
  }

  /** Brings a large model into memory, and out again; answers the milliseconds until it would have answered. */
  async bring(large: LargeKind): Promise<number> {
    const program = (this.#large[large] ??=
      large === 'dense' ? await this.#onnx(LARGE_LAYERS) : this.#forest(LARGE_FOREST));
    const begun = performance.now();
    this.#wish(large, program);
    (await this.#manager.acquire(large)).release();
    const ms = performance.now() - begun;
    this.#wishes.pop();
    // It would stay warm for a rollback, unless it is deleted.
    this.#manager.update({ models: this.#wishes, watched: [], gone: [] });
    this.#manager.update({ models: this.#wishes, watched: [], gone: [large] });
    return ms;
  }

  #wish(model: string, program: string): void {
    this.#wishes.push({
      modelId: model,
      workspace: 'default',
      model,
      generation: ++this.#generation,
      wanted: 1,
      target: { versionId: model, version: 1, program, example: null, quarantine: null },
      words: {},
    });
    this.#manager.update({ models: this.#wishes, watched: [], gone: [] });
  }

  #put(bytes: Uint8Array): string {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(this.folder, hex), bytes);
    return `sha256:${hex}`;
  }

  #forest(shape: Parameters<typeof forestModel>[0]): string {
    const { program, weights } = forestModel(shape);
    const stored = { ...program, weights: { size: weights.length, digest: this.#put(weights) } };
    return this.#put(Buffer.from(JSON.stringify(stored)));
  }

  /** What the compile step makes of dense layers. */
  async #onnx(layers: number[]): Promise<string> {
    const bytes = denseModel(layers);
    const digest = this.#put(bytes);
    const outputFolder = mkdtempSync(join(this.folder, 'program-'));
    const file = join(this.folder, digest.replace('sha256:', ''));
    const { programFolder, reason } = await compile({
      files: [{ path: 'model.onnx', file }],
      outputFolder,
    });
    if (!programFolder) throw new Error(reason);
    const text = readFileSync(join(programFolder, 'program.json'), 'utf8');
    const program = JSON.parse(text) as Program;
    const files = program.files.map((part) => ({ ...part, digest }));
    return this.#put(Buffer.from(JSON.stringify({ ...program, files })));
  }
}

if (process.argv[1] === import.meta.filename) await main(process.argv[2] as ServerKind);
