import { packForest, type PackedForest } from './forest-layout.js';
import { FOREST_KERNEL } from './generated/forest-kernel.js';
import { floatsOf, tableShape, type Value } from './kernels/kernel.js';
import { ProgramError } from './program-error.js';
import type { Forest } from './program.js';
import type { WeightsReader } from './weights.js';

/** A forest in memory, ready to run. */
export interface LoadedForest {
  /** Resident bytes. */
  readonly bytes: number;
  /** Answers scores and leaves (see `ForestNode.outputs`), each only where it is wanted. */
  run(rows: Value, wanted: WantedOutputs): Value[];
}

/** What of a forest its answers depend on. */
type ForestShape = Pick<Forest, 'features' | 'columns' | 'trees' | 'inputDtype' | 'sumDtype'>;

export interface WantedOutputs {
  scores: boolean;
  leaf: boolean;
}

const WANT_SCORES = 1;
const WANT_LEAVES = 2;

/** More than this for one answer is refused: it would be rows × trees numbers that nobody reads. */
const MOST_ANSWER_BYTES = 2 ** 28;

/** In place of an output that nobody asked for. */
const NOT_WANTED: Value = { dtype: 'FP32', shape: [0], data: new Float32Array(0) };

/**
 * Lays a forest out in a WebAssembly memory of its own, which never grows. `withLeaves`: whether anything may ask for
 * leaves. Throws ProgramError (INVALID_PROGRAM) where the trees are not trees or point outside the program.
 */
export async function loadForest(
  forest: Forest,
  reader: WeightsReader,
  { pointer, withLeaves }: { pointer: string; withLeaves: boolean },
): Promise<LoadedForest> {
  const packed = await packForest(forest, reader, { pointer, withLeaves });
  const instance = await WebAssembly.instantiate(await kernelModule(), {
    env: { memory: packed.memory },
  });
  const run = instance.exports[forest.inputDtype === 'FP32' ? 'run32' : 'run64'];
  if (typeof run !== 'function') throw new Error('the forest kernel does not export what it must');
  return new WasmForest(forest, packed, (count, wanted) => void run(count, wanted));
}

let compiling: Promise<WebAssembly.Module> | undefined;

/** The kernel, compiled once. */
function kernelModule(): Promise<WebAssembly.Module> {
  compiling ??= WebAssembly.compile(Uint8Array.from(atob(FOREST_KERNEL), (c) => c.charCodeAt(0)));
  return compiling;
}

/** Trees in a memory that a kernel reads, whatever the kernel: rows go through it block by block. */
export class WasmForest implements LoadedForest {
  readonly bytes: number;

  constructor(
    private readonly forest: ForestShape,
    private readonly packed: PackedForest,
    private readonly kernel: (count: number, wanted: number) => void,
  ) {
    this.bytes = packed.memory.buffer.byteLength;
  }

  run(rows: Value, wanted: WantedOutputs): Value[] {
    const { features, columns, trees, inputDtype, sumDtype } = this.forest;
    const { rows: count, columns: width } = tableShape(rows);
    if (rows.dtype !== inputDtype || width !== features) {
      throw new ProgramError(
        'INVALID_INPUT',
        `a forest of ${features} ${inputDtype} features was given ${width} of ${rows.dtype}`,
      );
    }
    const bytes =
      count * (columns * this.packed.scores.BYTES_PER_ELEMENT + (wanted.leaf ? 4 * trees : 0));
    if (bytes > MOST_ANSWER_BYTES) {
      throw ProgramError.input(
        '/outputs',
        `${count} rows need an answer of ${bytes} bytes; ${MOST_ANSWER_BYTES} are allowed. Send fewer rows at once.`,
      );
    }
    const answer = this.answer(floatsOf(rows.data, 'rows of a forest'), count, wanted);
    return [
      answer.scores
        ? {
            dtype: sumDtype,
            shape: columns === 1 ? [count] : [count, columns],
            data: answer.scores,
          }
        : NOT_WANTED,
      answer.leaves ? { dtype: 'INT32', shape: [count, trees], data: answer.leaves } : NOT_WANTED,
    ];
  }

  private answer(data: Float32Array | Float64Array, count: number, wanted: WantedOutputs): Answer {
    const { features, columns, trees } = this.forest;
    const { block, rows, scores, leaves } = this.packed;
    const flags = (wanted.scores ? WANT_SCORES : 0) | (wanted.leaf ? WANT_LEAVES : 0);
    if (count <= block) {
      rows.set(data);
      this.kernel(count, flags);
      return {
        scores: wanted.scores ? scores.slice(0, count * columns) : undefined,
        leaves: wanted.leaf ? leaves.slice(0, count * trees) : undefined,
      };
    }
    const allScores = wanted.scores ? sameKind(scores, count * columns) : undefined;
    const allLeaves = wanted.leaf ? new Int32Array(count * trees) : undefined;
    for (let from = 0; from < count; from += block) {
      const part = Math.min(block, count - from);
      rows.set(data.subarray(from * features, (from + part) * features));
      this.kernel(part, flags);
      allScores?.set(scores.subarray(0, part * columns), from * columns);
      allLeaves?.set(leaves.subarray(0, part * trees), from * trees);
    }
    return { scores: allScores, leaves: allLeaves };
  }
}

interface Answer {
  scores: Float32Array | Float64Array | undefined;
  leaves: Int32Array | undefined;
}

function sameKind(data: Float32Array | Float64Array, length: number): Float32Array | Float64Array {
  return data instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
}
