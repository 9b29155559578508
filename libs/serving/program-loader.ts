import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { DomainError, type Logger, readJson } from '#platform';
import {
  bindInputs,
  bindOutputs,
  loadProgram,
  parseProgram,
  type Program,
  type StoredFile,
  type Tensor,
  zeroInputs,
} from '#program';
import { decodeTensors, signatureName } from '#protocols';
import { Batcher } from './batcher.js';
import type { BatchSizes } from './batch-sizes.js';
import type { VersionTarget } from './desired.js';
import { LoadError } from './load-error.js';
import { LoadedVersion, type LoadedProgram } from './loaded-version.js';
import type { VersionLoader } from './model-manager.js';
import { RunMarker } from './run-marker.js';

/** Verified files by digest; `ProgramCache`, or the supervisor that has one. */
export interface ProgramFiles {
  hold(digest: string): Promise<string>;
  release(digest: string): void;
  discard(digest: string): Promise<void>;
}

/** A Program that runs in another process. */
export interface ContainedRuntime {
  readonly bytes: number;
  /** @param timeout milliseconds */
  run(inputs: Tensor[], outputs: string[], timeout?: number): Promise<Tensor[]>;
  close(): void;
}

/** Where Programs run that could freeze or kill a process: those with ONNX parts, and those that did it before. */
export interface Compartments {
  /**
   * @param bytesHint what it will take, as far as one can say
   * @param signal ends the process in which it is being loaded
   */
  load(
    key: string,
    source: { program: unknown; weights?: string; files: Record<string, string> },
    bytesHint: number,
    signal?: AbortSignal,
  ): Promise<ContainedRuntime>;
}

export interface ProgramLoaderOptions {
  files: ProgramFiles;
  compartments: Compartments;
  /** Absent where nobody watches this process. */
  marker?: RunMarker | undefined;
  /** Deadline of the warm-up (ms). */
  timeout: number;
  /** Where the batches of a version are counted; warming up is not. */
  sizesOf?: (modelId: string, version: number) => BatchSizes;
  log: Logger;
}

interface LoadInProgress {
  /** Digests of the files that it holds. */
  held: string[];
  admit: (bytes: number) => void;
  signal: AbortSignal | undefined;
}

/** A Program is its graph and names; what is larger than this is none. */
const MAX_PROGRAM = 64 * 2 ** 20;
/** Bytes that are hashed at once: a fraction of a millisecond, between which requests are answered. */
const CHUNK = 256 * 1024;
/** What ONNX Runtime needs beside the bytes of its files, and a process that is there for one version. */
const ONNX_FACTOR = 1.5;
/** Building a Program from more weights than this would hold the event loop for too long: it runs in a compartment. */
const MAX_WEIGHTS_HERE = 16 * 2 ** 20;
/** The slowest that a Program is built from its weights, on the event loop. */
const LOAD_BYTES_PER_MS = 10_000;

/** Loads Programs: fetch, verify, make resident off the request path, warm up. */
export class ProgramLoader implements VersionLoader {
  #loads = 0;

  constructor(private readonly options: ProgramLoaderOptions) {}

  async load(
    modelId: string,
    target: VersionTarget,
    admit: (bytes: number) => void,
    signal?: AbortSignal,
  ): Promise<LoadedVersion> {
    if (!target.program) throw new LoadError('it has no compiled Program', 'never');
    const held: string[] = [];
    const release = (): void => {
      for (const digest of held.splice(0)) this.options.files.release(digest);
    };
    try {
      const program = await this.#read(target.program, held);
      const loaded = await this.#make(program, target, target.program, { held, admit, signal });
      const version = new LoadedVersion(
        modelId,
        target.version,
        withRelease(loaded, release),
        this.#batcher(loaded, target.program),
      );
      try {
        await Promise.race([this.#warmUp(version, target), aborted(signal)]);
      } catch (error) {
        await version.retire();
        throw error;
      }
      version.batcher.sizes = this.options.sizesOf?.(modelId, target.version);
      return version;
    } catch (error) {
      release();
      throw error;
    }
  }

  async #read(digest: string, held: string[]): Promise<Program> {
    const bytes = await this.#bytes({ digest, size: -1 }, held);
    try {
      return parseProgram(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new LoadError(`its program.json cannot be read: ${why}`, 'never', { cause: error });
    }
  }

  async #make(
    program: Program,
    target: VersionTarget,
    digest: string,
    { held, admit, signal }: LoadInProgress,
  ): Promise<LoadedProgram> {
    // What others wrote may never end (an ONNX graph, a loop), or unpack to more than there is memory (a picture).
    const foreign = program.nodes.some(
      (node) =>
        ['onnx', 'loop', 'branch'].includes(node.kind) ||
        (node.kind === 'kernel' && node.kernel === 'decode-picture'),
    );
    const fileBytes = program.files.reduce((sum, file) => sum + file.size, 0);
    const bytesHint = Math.ceil(2 * program.weights.size + ONNX_FACTOR * fileBytes);
    admit(bytesHint);
    const large = program.weights.size > MAX_WEIGHTS_HERE;
    if (foreign || large || target.quarantine !== null)
      return this.#contain(program, bytesHint, digest, held, signal);
    const weights = program.weights.size
      ? await this.#bytes(program.weights, held)
      : new Uint8Array(0);
    const { marker } = this.options;
    marker?.loading(program.weights.size / LOAD_BYTES_PER_MS);
    const runtime = await loadProgram(program, weights).finally(() => marker?.loading(0));
    return {
      signature: runtime.signature,
      signatures: runtime.signatures,
      binding: runtime.binding,
      format: program.format,
      bytes: runtime.bytes,
      rowwise: runtime.rowwise,
      synchronous: true,
      bind: (tensors, limits) => bindInputs(program, tensors, limits),
      run: (inputs, outputs) => runtime.run(inputs, outputs),
      close: () => runtime.close(),
    };
  }

  async #contain(
    program: Program,
    bytesHint: number,
    digest: string,
    held: string[],
    signal: AbortSignal | undefined,
  ): Promise<LoadedProgram> {
    const files: Record<string, string> = {};
    for (const file of program.files) files[file.path] = await this.#verified(file, held);
    const weights = program.weights.size
      ? { weights: await this.#verified(program.weights, held) }
      : {};
    const key = `${digest}#${++this.#loads}`;
    const runtime = await this.options.compartments.load(
      key,
      { program, ...weights, files },
      bytesHint,
      signal,
    );
    return {
      signature: program.signature,
      signatures: program.signatures,
      binding: program.binding,
      format: program.format,
      bytes: runtime.bytes,
      rowwise: program.rowwise,
      synchronous: false,
      bind: (tensors, limits) => bindInputs(program, tensors, limits),
      run: (inputs, outputs, deadline) =>
        runtime.run(inputs, outputs, Math.max(1, deadline - Date.now())),
      close: () => runtime.close(),
    };
  }

  #batcher(program: LoadedProgram, digest: string): Batcher {
    const { marker } = this.options;
    if (!marker || !program.synchronous) return new Batcher(program);
    const mark = RunMarker.markOf(digest);
    return new Batcher(program, {
      begin: () => marker.begin(mark),
      end: () => marker.end(),
    });
  }

  /**
   * The first run allocates and compiles; it must not be a user's. The registered example has to work; zeros, which stand
   * in for it, may be wrong for a graph, so that what it says about them does not matter.
   */
  async #warmUp(version: LoadedVersion, { example }: VersionTarget): Promise<void> {
    const { program } = version;
    try {
      const { tensors, signature } = exampleOf(example) ?? { tensors: zeroInputs(program) };
      const inputs = program.bind(tensors, { maxRows: Infinity, signature });
      const outputs = bindOutputs(program, undefined, signature);
      const rows = inputs[0]?.shape[0] ?? 1;
      await new Promise<void>((resolve, reject) => {
        version.batcher.submit({
          inputs,
          rows,
          outputs,
          deadline: Date.now() + this.options.timeout,
          gone: () => false,
          done: () => resolve(),
          failed: reject,
        });
      });
    } catch (error) {
      if (error instanceof DomainError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      if (example !== null)
        throw new LoadError(`its input example does not run: ${why}`, 'never', { cause: error });
      this.options.log.debug({ version: version.version }, `zeros do not run: ${why}`);
    }
  }

  /** The bytes of a stored file, verified; in pieces, so that requests run in between. */
  async #bytes(file: StoredFile, held: string[]): Promise<Uint8Array> {
    const { digest, path } = await this.#hold(file, held);
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const limit = file.size < 0 ? MAX_PROGRAM : file.size;
      if (file.size >= 0 ? size !== file.size : size > limit) {
        throw new LoadError(`${digest} has ${size} bytes where ${limit} were expected`, 'never');
      }
      const bytes = new Uint8Array(size);
      await hashed(handle, digest, bytes);
      return bytes;
    } catch (error) {
      if (error instanceof Damaged) await this.options.files.discard(digest);
      throw error;
    } finally {
      await handle.close();
    }
  }

  /** The path of a stored file whose bytes were verified just now. */
  async #verified(file: StoredFile, held: string[]): Promise<string> {
    const { digest, path } = await this.#hold(file, held);
    const handle = await open(path, 'r');
    try {
      await hashed(handle, digest, undefined);
      return path;
    } catch (error) {
      if (error instanceof Damaged) await this.options.files.discard(digest);
      throw error;
    } finally {
      await handle.close();
    }
  }

  async #hold({ digest }: StoredFile, held: string[]): Promise<{ digest: string; path: string }> {
    if (!digest) throw new LoadError('its program.json names a file without a digest', 'never');
    const path = await this.options.files.hold(digest);
    held.push(digest);
    return { digest, path };
  }
}

/** Rejects when the load is given up. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = (): void => reject(new LoadError('it is not wished for any longer', 'soon'));
    if (signal?.aborted) giveUp();
    else signal?.addEventListener('abort', giveUp, { once: true });
  });
}

class Damaged extends LoadError {}

/** Reads a file, into `into` where given, and compares its digest. */
async function hashed(
  handle: Awaited<ReturnType<typeof open>>,
  digest: string,
  into: Uint8Array | undefined,
): Promise<void> {
  const hash = createHash('sha256');
  const chunk = into ? undefined : new Uint8Array(CHUNK);
  for (let at = 0; ;) {
    const target = chunk ?? into?.subarray(at, at + CHUNK) ?? new Uint8Array(0);
    const { bytesRead } = target.length
      ? await handle.read(target, 0, target.length, at)
      : { bytesRead: 0 };
    if (!bytesRead) break;
    hash.update(target.subarray(0, bytesRead));
    at += bytesRead;
  }
  const got = `sha256:${hash.digest('hex')}`;
  if (got !== digest)
    throw new Damaged(`${digest} was damaged on the local disk and is fetched anew`, 'soon');
}

function withRelease(program: LoadedProgram, release: () => void): LoadedProgram {
  return {
    ...program,
    close: async () => {
      await program.close();
      release();
    },
  };
}

function exampleOf(
  text: string | null,
): { tensors: Tensor[]; signature?: string | undefined } | undefined {
  if (text === null) return undefined;
  const example = readJson(text, { maxDepth: Infinity });
  if (typeof example !== 'object' || example === null || !('inputs' in example)) return undefined;
  const parameters = 'parameters' in example ? example.parameters : undefined;
  return { tensors: decodeTensors(example.inputs), signature: signatureName(parameters) };
}
