import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { endWithParent, openChannel, nodeOnnxBackend } from '#formats';
import {
  bindInputs,
  bindOutputs,
  chooseSignature,
  loadProgram,
  parseProgram,
  ProgramError,
  type Runtime,
  type Tensor,
  zeroInputs,
} from '#program';
import { FrameReader, FrameWriter, MessageType, type Message } from './compartment-frames.js';
import type { LoadedProgram, ProgramSource } from './compartment.js';

/** Runs of one version that are started together may take so long, until their answers are written. */
const GROUP_MILLISECONDS = 2;
const MAX_GROUP = 64;
/** Signatures that are run once before a version answers. */
const MOST_WARMED = 16;

interface Resident {
  runtime: Runtime;
  /** Milliseconds of a run, smoothed. */
  cost: number;
}

endWithParent();
const channel = openChannel();
const writer = new FrameWriter();
const residents = new Map<number, Resident>();
const queue: Message[] = [];
let draining = false;

// Most of the start is the native library: a compartment that waits for its first version has it loaded.
void nodeOnnxBackend();

const reader = new FrameReader((message) => {
  queue.push(message);
  if (!draining) void drain();
});
channel.on('data', (chunk: Buffer) => reader.push(chunk));
// An orderly exit would wait for native code that runs, and end the thread that watches the parent first.
channel.on('close', () => process.kill(process.pid, 'SIGKILL'));

/**
 * Strictly one after the other, and answers in that order: the front takes the oldest request without an answer for the one
 * that runs. Only requests of one version are run before their answers are written, so a version never answers for another.
 */
async function drain(): Promise<void> {
  draining = true;
  for (let message = queue.shift(); message; message = queue.shift()) {
    if (message.type === MessageType.Run) await runGroup(message);
    else if (message.type === MessageType.Load) await load(message);
    else if (message.type === MessageType.Unload) await unload(message.uint32());
    else if (message.type === MessageType.Ping) writer.message(MessageType.Pong, message.id);
    if (!writer.isEmpty) channel.write(writer.take());
  }
  draining = false;
}

async function runGroup(first: Message): Promise<void> {
  const slot = first.uint32();
  const resident = residents.get(slot);
  const group = [first];
  const most = Math.min(MAX_GROUP, GROUP_MILLISECONDS / (resident?.cost ?? GROUP_MILLISECONDS));
  while (group.length < most) {
    const next = queue[0];
    if (next?.type !== MessageType.Run || next.peek() !== slot) break;
    next.uint32();
    queue.shift();
    group.push(next);
  }
  const began = performance.now();
  await Promise.all(group.map((message) => run(message, resident)));
  if (!resident) return;
  const cost = (performance.now() - began) / group.length;
  resident.cost = Math.max(cost, resident.cost * 0.9 + cost * 0.1);
}

async function run(message: Message, resident: Resident | undefined): Promise<void> {
  try {
    if (!resident) throw new Error('The version is not loaded here.');
    const count = message.uint32();
    const outputs = Array.from({ length: count }, () => message.text());
    const answer: Tensor[] = await resident.runtime.run(message.tensors(), outputs);
    writer.message(MessageType.Answer, message.id, () => writer.tensors(answer));
  } catch (error) {
    fail(message.id, error);
  }
}

async function load(message: Message): Promise<void> {
  try {
    const slot = message.uint32();
    const source = message.json() as ProgramSource;
    const before = process.memoryUsage.rss();
    const runtime = await loadSource(source);
    await warmUp(runtime);
    residents.set(slot, { runtime, cost: GROUP_MILLISECONDS });
    const { signature, binding } = runtime;
    const bytes = Math.max(runtime.bytes, process.memoryUsage.rss() - before);
    const loaded: LoadedProgram = { bytes, signature, binding };
    writer.message(MessageType.Loaded, message.id, () => writer.json(loaded));
  } catch (error) {
    fail(message.id, error);
  }
}

async function loadSource({ program, weights, files }: ProgramSource): Promise<Runtime> {
  const { weights: storedWeights, files: storedFiles } = parseProgram(program);
  const digests = new Map(storedFiles.map(({ path, digest }) => [path, digest]));
  const read = await Promise.all(
    Object.entries(files).map(
      async ([path, file]) => [path, await readCompared(file, digests.get(path))] as const,
    ),
  );
  const bytes = weights ? await readCompared(weights, storedWeights.digest) : new Uint8Array(0);
  return loadProgram(program, bytes, { files: new Map(read), onnx: await nodeOnnxBackend() });
}

/** Whoever asked has compared the file; it may have been altered since. A Program that is not stored has no digests. */
async function readCompared(file: string, digest: string | undefined): Promise<Buffer> {
  const bytes = await readFile(file);
  if (digest === undefined) return bytes;
  if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest) return bytes;
  throw new Error(`${digest} was altered on the local disk while it was loaded.`);
}

/** The first run allocates; it must not be a user's. Zeros may be wrong for a graph, so what it says does not matter. */
async function warmUp(runtime: Runtime): Promise<void> {
  const { signatures } = runtime;
  const names = signatures ? Object.keys(signatures.named) : [undefined];
  for (const signature of names.slice(0, MOST_WARMED)) {
    try {
      const outputs = chooseSignature(runtime, signature).signature.outputs.map(({ name }) => name);
      await runtime.run(
        bindInputs(runtime, zeroInputs(runtime, signature), { maxRows: Infinity, signature }),
        bindOutputs(runtime, outputs, signature),
      );
    } catch (error) {
      if (!(error instanceof ProgramError)) throw error;
    }
  }
}

async function unload(slot: number): Promise<void> {
  const resident = residents.get(slot);
  residents.delete(slot);
  await resident?.runtime.close();
}

function fail(id: number, error: unknown): void {
  const { code, pointer } =
    error instanceof ProgramError ? error : { code: 'INTERNAL', pointer: undefined };
  const text = error instanceof Error ? error.message : String(error);
  writer.message(MessageType.Error, id, () => writer.json({ code, message: text, pointer }));
}
