import { tanh } from './math/hyperbolic.js';
import { DENSE_KERNEL } from './generated/dense-kernel.js';

type Floats = Float32Array | Float64Array;

/** The functions of `assembly/dense-kernel.ts`. */
interface DenseFunctions {
  affine: Sums;
  squares: Sums;
  exponentials: (from: number, count: number, factor: number) => void;
  tangents: (from: number, count: number) => void;
  positives: (from: number, count: number) => void;
}

type Sums = (
  x: number,
  rows: number,
  width: number,
  weights: number,
  panels: number,
  start: number,
  out: number,
) => void;

const PAGE = 65_536;
/** One memory for all programs: what is not used takes none. */
const PAGES = 512;
/** Rows and their sums lie here while a block is computed. */
const SCRATCH = 4096;
const SCRATCH_END = 2 ** 22;
/** A block of rows with its sums stays within this where it can, so that it stays in the processor's cache. */
const BLOCK_BYTES = 2 ** 18;
const MOST_BLOCK = 256;
const PANEL = 4;

/**
 * The memory of the dense kernels. Weights are laid out in it when they are used, and stay until it is full: then all go, and
 * come again when they are used again. So it is bounded whatever the number of models, and nobody has to give back anything.
 */
class Arena {
  private readonly floats: Float64Array;
  private next = SCRATCH_END;
  /** Goes up when everything is thrown away. */
  generation = 1;

  constructor(
    memory: WebAssembly.Memory,
    readonly run: DenseFunctions,
  ) {
    this.floats = new Float64Array(memory.buffer);
  }

  /** The address of room for so many numbers. */
  take(length: number): number {
    if (this.next + length * 8 > PAGES * PAGE) {
      this.next = SCRATCH_END;
      this.generation++;
    }
    const address = this.next;
    this.next = Math.ceil((address + length * 8) / 64) * 64;
    return address;
  }

  view(address: number, length: number): Float64Array {
    return this.floats.subarray(address / 8, address / 8 + length);
  }
}

let arena: Arena | undefined;
let loading: Promise<void> | undefined;

/** Makes the dense kernels ready, once; before, nothing fits {@link DenseSums}. */
export function loadDense(): Promise<void> {
  loading ??= load();
  return loading;
}

async function load(): Promise<void> {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const bytes = Uint8Array.from(atob(DENSE_KERNEL), (c) => c.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
  arena = new Arena(memory, instance.exports as unknown as DenseFunctions);
}

function ready(): Arena {
  if (!arena) throw new Error('the dense kernels are used before they are loaded');
  return arena;
}

export interface DenseWeights {
  kind: 'affine' | 'squares';
  /** Columns of the rows. */
  width: number;
  /** Numbers that are answered for each row. */
  outputs: number;
  /** Weight of a column for an output. */
  at: (column: number, output: number) => number;
  /** What sums start with; absent: 0. */
  start?: Floats;
}

/**
 * Sums over the columns of rows: of products with weights, or of squared differences from points. Each sum is what a plain
 * loop from the first column to the last gives, to the last bit.
 */
export class DenseSums {
  private generation = 0;
  private weightAddress = 0;
  private startAddress = 0;
  private readonly panels: number;
  private readonly block: number;

  constructor(private readonly weights: DenseWeights) {
    const { width, outputs } = weights;
    this.panels = Math.ceil(outputs / PANEL);
    const rowBytes = (width + this.panels * PANEL) * 8;
    const fitting = Math.floor((SCRATCH_END - SCRATCH - 64) / rowBytes);
    this.block = Math.min(MOST_BLOCK, Math.max(PANEL, Math.floor(BLOCK_BYTES / rowBytes)), fitting);
  }

  /** Whether rows and weights fit the memory, and it is there; if not, the caller has to compute them itself. */
  get fits(): boolean {
    if (!arena) return false;
    const numbers = this.panels * PANEL * (this.weights.width + 1) + 64;
    return this.block > 0 && numbers * 8 < PAGES * PAGE - SCRATCH_END;
  }

  /**
   * Computes the rows block by block. `take` is given the sums of each block in a view that it may change and that lives until
   * it returns.
   */
  run(source: Floats, rows: number, take: (sums: Float64Array, block: SumsBlock) => void): void {
    const memory = ready();
    const { width, kind } = this.weights;
    this.place(memory);
    const stride = this.panels * PANEL;
    for (let first = 0; first < rows; first += this.block) {
      const count = Math.min(this.block, rows - first);
      const out = Math.ceil((SCRATCH + count * width * 8) / 64) * 64;
      const whole = first === 0 && count === rows && source.length === count * width;
      memory
        .view(SCRATCH, count * width)
        .set(whole ? source : source.subarray(first * width, (first + count) * width));
      memory.run[kind](
        SCRATCH,
        count,
        width,
        this.weightAddress,
        this.panels,
        this.startAddress,
        out,
      );
      take(memory.view(out, count * stride), { first, count, stride, address: out });
    }
  }

  private place(memory: Arena): void {
    if (this.generation === memory.generation) return;
    const { width, outputs, at, start } = this.weights;
    const padded = this.panels * PANEL;
    const address = memory.take(padded * (width + 1));
    this.generation = memory.generation;
    this.startAddress = address;
    this.weightAddress = address + padded * 8;
    const starts = memory.view(address, padded);
    starts.fill(0);
    if (start) starts.set(start);
    const panels = memory.view(this.weightAddress, padded * width);
    for (let panel = 0, to = 0; panel < this.panels; panel++) {
      for (let column = 0; column < width; column++) {
        for (let k = 0; k < PANEL; k++, to++) {
          const output = panel * PANEL + k;
          panels[to] = output < outputs ? at(column, output) : 0;
        }
      }
    }
  }
}

/** Where the sums of a block of rows stand. */
export interface SumsBlock {
  /** The first of its rows. */
  first: number;
  /** How many they are. */
  count: number;
  /** How far the sums of one row are from those of the next. */
  stride: number;
  /** Where they begin in the kernel's memory. */
  address: number;
}

/** The sums of all rows, `[rows, outputs]`. */
export function denseSums(
  sums: DenseSums,
  outputs: number,
  source: Floats,
  rows: number,
): Float64Array {
  const data = new Float64Array(rows * outputs);
  sums.run(source, rows, (block, { first, count, stride }) => {
    if (stride === outputs) {
      data.set(block, first * outputs);
      return;
    }
    for (let row = 0; row < count; row++) {
      const to = (first + row) * outputs;
      const from = row * stride;
      for (let i = 0; i < outputs; i++) data[to + i] = block[from + i] ?? NaN;
    }
  });
  return data;
}

/**
 * e^(factor · x) in place of the sums of a block, `factor · x` not above 0: within a unit of the last place, 0 below the least
 * normal number.
 */
export function exponentials(sums: Float64Array, { address }: SumsBlock, factor: number): void {
  ready().run.exponentials(address, sums.length, factor);
}

/** The hyperbolic tangent in place of each number, within three units of the last place. */
export function tangents(data: Float64Array): void {
  if (arena) inPlace(data, arena, arena.run.tangents);
  else for (let i = 0; i < data.length; i++) data[i] = tanh(data[i] ?? NaN);
}

/** The larger of 0 and each number in its place; NaN stays. */
export function positives(data: Float64Array): void {
  if (arena) inPlace(data, arena, arena.run.positives);
  else for (let i = 0; i < data.length; i++) data[i] = Math.max(data[i] ?? NaN, 0);
}

/** Numbers that go through the kernel's memory at once. */
const AT_ONCE = 2 ** 14;

function inPlace(
  data: Float64Array,
  memory: Arena,
  change: (from: number, count: number) => void,
): void {
  for (let from = 0; from < data.length; from += AT_ONCE) {
    const part = data.length <= AT_ONCE ? data : data.subarray(from, from + AT_ONCE);
    const view = memory.view(SCRATCH, part.length);
    view.set(part);
    change(SCRATCH, part.length);
    part.set(view);
  }
}
