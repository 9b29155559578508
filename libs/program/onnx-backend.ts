import type { OnnxBridge } from './onnx-bridge.js';
import type { Tensor } from './tensor.js';

/**
 * What runs the ONNX parts of a program: `onnxruntime-node` on the server, `onnxruntime-web` in a browser, or a compartment
 * that hides either behind a pipe.
 */
export interface OnnxBackend {
  /**
   * Loads the graph in the file `main`; the other files are its external data. Throws ProgramError (INVALID_PROGRAM) with
   * the reason where the graph cannot be loaded. `bridge` says how what is no plain tensor is passed.
   */
  load(files: Map<string, Uint8Array>, main: string, bridge?: OnnxBridge): Promise<OnnxSession>;
}

/** A loaded graph. */
export interface OnnxSession {
  /** Resident bytes, estimated. */
  readonly bytes: number;
  /**
   * Runs the graph. `inputs` carry the names of the graph's inputs (`NAME.0`, `NAME.1`, … for a sequence); the answer has
   * the tensors of the graph's `outputs`, in this order (a sequence of tensors as several, a probability map as one with
   * `parameters.labels`).
   */
  run(inputs: Tensor[], outputs: string[]): Promise<Tensor[]>;
  close(): Promise<void>;
}
