import type { Value } from './kernels/kernel.js';
import { ProgramError } from './program-error.js';
import type { Forest } from './program.js';
import type { WeightsReader } from './weights.js';

/** A forest in memory, ready to run. */
export interface LoadedForest {
  readonly bytes: number;
  run(rows: Value, wanted: { scores: boolean; leaf: boolean }): Value[];
}

export async function loadForest(
  _forest: Forest,
  _reader: WeightsReader,
  pointer: string,
): Promise<LoadedForest> {
  throw ProgramError.program(pointer, 'forests come with the next step');
}
