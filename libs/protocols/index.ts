export { CodecError } from './codec-error.js';
export {
  decodeInferRequest,
  encodeInferResponse,
  signatureName,
  type InferLimits,
  type InferRequest,
  type InferResponse,
  type RequestedOutput,
} from './open-inference.js';
export { decodeTensors, encodeTensors, type TensorJson } from './stored-tensors.js';
export { writeTensors as encodeTensorsText } from './tensor-writer.js';
export type { TensorLimits } from './tensor-reader.js';
export {
  modelMetadata,
  modelReady,
  serverLive,
  serverMetadata,
  serverReady,
  type ModelMetadata,
  type TensorMetadata,
} from './metadata.js';
