import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '#formats';
import { checkAccess, createLogger, readConfig } from '#platform';
import type { Program } from '#program';
import { CompartmentPool, ModelManager, ProgramLoader, RequestCounts, RunMarker } from '#serving';
import { Front } from '../apps/serving/front.js';
import { denseModel, forestModel } from './serving-models.js';

// The servers of `serving.ts`, one a process: `serving-servers.js forest | mlp | echo`. Each tells its port; asked `cpu` it
// tells the microseconds of processor time that it and its compartments have had, asked `pin N` it moves to that processor.

export type ServerKind = 'forest' | 'mlp' | 'echo';

const MODEL = 'm';

const children: (() => number[])[] = [];

if (process.argv[1] === import.meta.filename) await main(process.argv[2] as ServerKind);

async function main(kind: ServerKind): Promise<void> {
  const handler = kind === 'echo' ? echo : await front(kind);
  process.on('message', (message: string) => {
    if (message === 'cpu') process.send?.(cpuTime());
    if (message === 'children') process.send?.(children.flatMap((pids) => pids()));
    if (message === 'end') process.exit();
  });
  const server = createServer({ keepAliveTimeout: 75_000, noDelay: true }, handler);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Of this process and of its compartments; microseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return children.flatMap((pids) => pids()).reduce((sum, pid) => sum + cpuOf(pid), user + system);
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

async function front(kind: 'forest' | 'mlp'): Promise<RequestListener> {
  const config = readConfig({ ...process.env, LOG_LEVEL: 'error' });
  const log = createLogger(config, 'bench');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const { manager, marker } = await loaded(folder, kind, log);
  return new Front({
    config,
    manager,
    counts: new RequestCounts(),
    checkAccess: checkAccess(config),
    starting: () => false,
    metrics: async () => '',
    marker,
    version: '0',
    log,
  }).handle;
}

async function loaded(
  folder: string,
  kind: 'forest' | 'mlp',
  log: ReturnType<typeof createLogger>,
): Promise<{ manager: ModelManager; marker: RunMarker }> {
  const put = (bytes: Uint8Array): string => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(folder, hex), bytes);
    return `sha256:${hex}`;
  };
  const stored = kind === 'forest' ? storedForest(put) : await storedOnnx(folder, put);
  const program = put(Buffer.from(JSON.stringify(stored)));
  const marker = new RunMarker(openSync(join(folder, 'mark'), 'w+'));
  const timeout = 30_000;
  const compartments = new CompartmentPool({ memory: 2 ** 30, timeout });
  children.push(() => compartments.compartments.map(({ pid }) => pid));
  const files = {
    hold: async (digest: string) => join(folder, digest.replace('sha256:', '')),
    release: () => undefined,
    discard: async () => undefined,
  };
  const manager = new ModelManager({
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
      loadFailed: (_, __, retry) => console.error(retry),
    },
    memory: 2 ** 30,
    log,
  });
  const target = { versionId: '1', version: 1, program, example: null, quarantine: null };
  const wish = { modelId: '1', workspace: 'default', model: MODEL, generation: 1, wanted: 1 };
  manager.update({ models: [{ ...wish, target, words: {} }], watched: [], gone: [] });
  (await manager.acquire(MODEL)).release();
  return { manager, marker };
}

function storedForest(put: (bytes: Uint8Array) => string): Program {
  const { program, weights } = forestModel();
  return { ...program, weights: { size: weights.length, digest: put(weights) } };
}

/** What the compile step makes of the layers. */
async function storedOnnx(folder: string, put: (bytes: Uint8Array) => string): Promise<Program> {
  const bytes = denseModel([16, 64, 64, 3]);
  const file = join(folder, 'model.onnx');
  writeFileSync(file, bytes);
  const outputFolder = mkdtempSync(join(folder, 'program-'));
  const { programFolder, reason } = await compile({
    files: [{ path: 'model.onnx', file }],
    outputFolder,
  });
  if (!programFolder) throw new Error(reason);
  const program = JSON.parse(readFileSync(join(programFolder, 'program.json'), 'utf8')) as Program;
  const files = program.files.map((part) => ({ ...part, digest: put(bytes) }));
  return { ...program, files };
}
