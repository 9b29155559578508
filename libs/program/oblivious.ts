import { WasmForest, type LoadedForest } from './forest.js';
import { OBLIVIOUS_KERNEL } from './generated/oblivious-kernel.js';
import { packOblivious } from './oblivious-layout.js';
import type { ObliviousForest } from './program.js';
import type { WeightsReader } from './weights.js';

/**
 * Lays oblivious trees out in a WebAssembly memory of their own, which never grows. `withLeaves`: whether anything may ask
 * for leaves. Throws ProgramError (INVALID_PROGRAM).
 */
export async function loadOblivious(
  forest: ObliviousForest,
  reader: WeightsReader,
  options: { pointer: string; withLeaves: boolean },
): Promise<LoadedForest> {
  const packed = packOblivious(forest, reader, options);
  const instance = await WebAssembly.instantiate(await kernelModule(), {
    env: { memory: packed.memory },
  });
  const { run } = instance.exports;
  if (typeof run !== 'function') throw new Error('the kernel does not export what it must');
  const shape = { ...forest, inputDtype: 'FP32', sumDtype: 'FP64' } as const;
  return new WasmForest(shape, packed, (count, wanted) => void run(count, wanted));
}

let compiling: Promise<WebAssembly.Module> | undefined;

/** The kernel, compiled once. */
function kernelModule(): Promise<WebAssembly.Module> {
  compiling ??= WebAssembly.compile(
    Uint8Array.from(atob(OBLIVIOUS_KERNEL), (c) => c.charCodeAt(0)),
  );
  return compiling;
}
