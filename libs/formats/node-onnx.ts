import { onnxBackend, type OnnxBackend } from '#program';

/**
 * The backend that runs ONNX graphs in Node. The native library is loaded on first use, because it takes 30 MB and most
 * processes never need it. Only contained processes may call this: native code can freeze or kill what it runs in.
 */
export async function nodeOnnxBackend(): Promise<OnnxBackend> {
  const library = await import('onnxruntime-node');
  return onnxBackend(library);
}
