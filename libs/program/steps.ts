import type { Value } from './kernels/kernel.js';
import type { OnnxBackend } from './onnx-backend.js';
import { ProgramError } from './program-error.js';
import type { WeightsReader } from './weights.js';

export interface LoadOptions {
  /** The program's files by path; needed where it has ONNX parts. */
  files?: Map<string, Uint8Array>;
  onnx?: OnnxBackend;
}

/** A value of the graph while it runs: a tensor, or a sequence of tensors (empty: an input that was left out). */
export type Slot = Value | Value[];

/** All values of one run, by number; undefined: not made yet. */
export type Values = (Slot | undefined)[];

/** One node, ready to run. */
export interface Step {
  readonly inputs: number[];
  /** −1 is an output that nothing needs. */
  readonly outputs: number[];
  readonly bytes: number;
  /** `wanted[i]`: whether anybody needs output i. */
  run(inputs: Slot[], wanted: boolean[]): Slot[] | Promise<Slot[]>;
  close?(): Promise<void>;
}

export interface LoadContext {
  slots: Slots;
  reader: WeightsReader;
  /** For kernels, which keep what they read. */
  kernelReader: WeightsReader;
  options: LoadOptions;
  pointer: string;
}

/** Numbers the values of a graph, each known before it is used and made once. */
export class Slots {
  private readonly numbers = new Map<string, number>();

  constructor(names: string[]) {
    for (const name of names) this.add(name, '/signature/inputs');
  }

  get count(): number {
    return this.numbers.size;
  }

  find(name: string, pointer: string): number {
    return (
      this.numbers.get(name) ??
      fail(pointer, `"${name}" is neither an input nor made by an earlier node`)
    );
  }

  add(name: string, pointer: string): number {
    if (name === '') return -1;
    if (this.numbers.has(name)) fail(pointer, `"${name}" is made twice`);
    this.numbers.set(name, this.numbers.size);
    return this.numbers.size - 1;
  }
}

export function fail(pointer: string, message: string): never {
  throw ProgramError.program(pointer, message);
}

/** The slots as they are, none being a sequence. */
export function valuesOf(slots: Slot[], pointer: string): Value[] {
  return slots.every(isValue) ? slots : fail(pointer, 'a kernel takes no sequence');
}

function isValue(slot: Slot): slot is Value {
  return !Array.isArray(slot);
}

export function ports(inputs: string[], outputs: string[], { slots, pointer }: LoadContext) {
  return {
    inputs: inputs.map((name) => slots.find(name, `${pointer}/inputs`)),
    outputs: outputs.map((name) => slots.add(name, `${pointer}/outputs`)),
  };
}

export async function closeAll(steps: Step[]): Promise<void> {
  for (const step of steps) await step.close?.();
}
