import { nodeOnnxBackend } from '#formats';
import type { Tensor } from '#program';

/* Runs graphs for tests: onnxruntime does not take the typed arrays of a test's own realm. */

/** What the parent asks for. */
export interface OnnxQuestion {
  model: Uint8Array;
  inputs: Tensor[];
  outputs: string[];
}

process.on('message', (question: OnnxQuestion) => {
  void answer(question).then((reply) => process.send?.(reply));
});

async function answer({ model, inputs, outputs }: OnnxQuestion): Promise<Tensor[] | string> {
  try {
    const backend = await nodeOnnxBackend();
    const session = await backend.load(new Map([['model.onnx', model]]), 'model.onnx');
    return await session.run(inputs, outputs);
  } catch (error) {
    return String(error);
  }
}
