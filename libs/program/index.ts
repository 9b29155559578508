export * from './batch.js';
export * from './bind-inputs.js';
export * from './compare-tensors.js';
export {
  dataOf,
  DTYPES,
  elementCount,
  elementSize,
  fromBfloat16,
  fromFloat16,
  holdsDType,
  isDType,
  newData,
  viewData,
  type TypedArray,
} from './dtype.js';
export { below32, below64, floor32 } from './float-neighbours.js';
export * from './onnx-backend.js';
export type { BridgedSequence, OnnxBridge } from './onnx-bridge.js';
export { onnxBackend, type OnnxRuntimeLibrary } from './onnx-graph.js';
export { parseProgram } from './parse-program.js';
export * from './program-error.js';
export * from './program.js';
export { loadProgram, type Runtime } from './runtime.js';
export type { LoadOptions } from './steps.js';
export * from './signatures.js';
export * from './tensor.js';
export { WeightsReader, WeightsWriter } from './weights.js';
export { type ForestArrays, readForestArrays } from './forest-arrays.js';
export { KernelArguments } from './kernels/kernel.js';
export { zeroInputs } from './zero-inputs.js';
export { tokenPattern } from './kernels/token-pattern.js';
export { isRewrite, patternFault } from './kernels/patterns.js';
