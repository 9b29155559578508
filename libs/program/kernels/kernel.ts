import type { TypedArray } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import type { KernelNode } from '../program.js';
import type { DType, Tensor, TensorData } from '../tensor.js';
import type { WeightsReader } from '../weights.js';

/** A tensor inside the graph: what it is called is the graph's affair. */
export type Value = Omit<Tensor, 'name'> & {
  /**
   * A table FP64 or FP32 `[rows, columns]` of which `data` has only some numbers; all others are 0. Kernels without a form for
   * such (see sparse.ts) are never given one.
   */
  sparse?: SparsePlaces;
};

/** The numbers of row r are those from `starts`[r] to `starts`[r + 1], each in its column of `columns`, ascending. */
export interface SparsePlaces {
  starts: Int32Array;
  columns: Int32Array;
}

/** What a prepared kernel does with each request. It never changes its inputs. */
export type RunKernel = (inputs: Value[]) => Value[];

/**
 * Checks what the program says of one node, once, and answers what runs it. Throws ProgramError (INVALID_PROGRAM) where the
 * attributes or weights are not what the kernel needs.
 */
export type Kernel = (given: KernelArguments) => RunKernel;

/** The attributes and weights of one kernel node, read with a demand on what they are. */
export class KernelArguments {
  constructor(
    private readonly node: KernelNode,
    private readonly reader: WeightsReader,
    private readonly pointer: string,
  ) {}

  fail(message: string): never {
    throw ProgramError.program(this.pointer, `kernel ${this.node.kernel}: ${message}`);
  }

  has(name: string): boolean {
    return this.node.attributes?.[name] !== undefined || this.node.weights?.[name] !== undefined;
  }

  /** Whether a weight has this name; kernels may take some things as attributes or as weights. */
  isWeight(name: string): boolean {
    return this.node.weights?.[name] !== undefined;
  }

  number(name: string): number {
    const value = this.node.attributes?.[name];
    return typeof value === 'number' ? value : this.fail(`attribute ${name} must be a number`);
  }

  integer(name: string, least: number, most: number): number {
    const value = this.number(name);
    return Number.isInteger(value) && value >= least && value <= most
      ? value
      : this.fail(`attribute ${name} must be an integer from ${least} to ${most}`);
  }

  flag(name: string): boolean {
    const value = this.node.attributes?.[name];
    return typeof value === 'boolean' ? value : this.fail(`attribute ${name} must be a boolean`);
  }

  int32(name: string): Int32Array {
    const { data } = this.weight(name, ['INT32'], 1);
    return data instanceof Int32Array ? data : this.fail(`weight ${name} must be INT32`);
  }

  text(name: string): string {
    const value = this.node.attributes?.[name];
    return typeof value === 'string' ? value : this.fail(`attribute ${name} must be a string`);
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const text = this.text(name);
    const found = allowed.find((candidate) => candidate === text);
    return found ?? this.fail(`attribute ${name} must be one of ${allowed.join(', ')}`);
  }

  strings(name: string): string[] {
    const value = this.node.attributes?.[name];
    const strings = Array.isArray(value)
      ? value.filter((item): item is string => typeof item === 'string')
      : [];
    return Array.isArray(value) && strings.length === value.length
      ? strings
      : this.fail(`attribute ${name} must be a list of strings`);
  }

  /** A list of strings, or of numbers. */
  labels(name: string): string[] | number[] {
    const [first] = Array.isArray(this.node.attributes?.[name]) ? this.node.attributes[name] : [];
    return typeof first === 'number' ? this.numbers(name) : this.strings(name);
  }

  numbers(name: string): number[] {
    const value = this.node.attributes?.[name];
    const numbers = Array.isArray(value)
      ? value.filter((item): item is number => typeof item === 'number')
      : [];
    return Array.isArray(value) && numbers.length === value.length
      ? numbers
      : this.fail(`attribute ${name} must be a list of numbers`);
  }

  /** A weight with its shape; `dtypes` are the element types that the kernel can read. */
  weight(name: string, dtypes: readonly DType[], rank?: number): Weight {
    const ref = this.node.weights?.[name];
    if (!ref) return this.fail(`weight ${name} is missing`);
    if (!dtypes.includes(ref.dtype) || (rank !== undefined && ref.shape.length !== rank)) {
      this.fail(`weight ${name} must be ${dtypes.join(' or ')}${rank ? ` of rank ${rank}` : ''}`);
    }
    const data = this.reader.read(ref, `${this.pointer}/weights/${name}`);
    return { dtype: ref.dtype, shape: ref.shape, data };
  }

  /** A weight as float64, for kernels that compute in it. */
  floats(name: string, rank?: number): { shape: number[]; data: Float64Array | Float32Array } {
    const { shape, data } = this.weight(name, ['FP32', 'FP64'], rank);
    return { shape, data: floatsOf(data, `weight ${name}`) };
  }
}

export interface Weight {
  dtype: DType;
  shape: number[];
  data: TypedArray;
}

/** The data of a floating-point tensor; a kernel that is fed another one was wired wrongly. */
export function floatsOf(data: TensorData, what: string): Float32Array | Float64Array {
  if (data instanceof Float64Array || data instanceof Float32Array) return data;
  throw new ProgramError('INVALID_PROGRAM', `${what} must be FP32 or FP64`);
}

/** The only input of a kernel that takes one. */
export function onlyInput(inputs: Value[]): Value {
  const [input] = inputs;
  if (!input || inputs.length !== 1) {
    throw new ProgramError(
      'INVALID_PROGRAM',
      'a kernel that takes one input was given another number',
    );
  }
  return input;
}

/** Rows and columns of a value of rank 1 (one column) or 2. */
export function tableShape({ shape }: Value): { rows: number; columns: number } {
  const [rows = 1, columns = 1] = shape;
  if (shape.length === 0 || shape.length > 2) {
    throw new ProgramError('INVALID_PROGRAM', `a kernel for tables was given rank ${shape.length}`);
  }
  return { rows, columns };
}

/** The rows of the only input, a table of floating-point numbers that has so many columns. */
export function rowsOf(
  given: KernelArguments,
  inputs: Value[],
  width: number,
): { input: Value; source: Float32Array | Float64Array; rows: number } {
  const input = onlyInput(inputs);
  const { rows, columns } = tableShape(input);
  if (columns !== width) given.fail(`${columns} columns where ${width} are expected`);
  return { input, source: floatsOf(input.data, 'rows'), rows };
}

/** How a message speaks of a column that an estimator reads: by its place there, and as the request calls it. */
export function columnText(column: number, name: string | undefined): string {
  return name === undefined ? String(column) : `${column} ("${name.slice(0, 100)}")`;
}
