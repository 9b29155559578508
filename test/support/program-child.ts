import { nodeOnnxBackend } from '#formats';
import { loadProgram, type Runtime, type Tensor } from '#program';

/* Loads and runs programs for tests: onnxruntime does not take the typed arrays of a test's own realm. */

/** What the parent asks for: a program to load, or to run what it loaded last. */
export type ProgramQuestion =
  { program: string; weights: Uint8Array } | { inputs: Tensor[]; outputs: string[] };

let runtime: Runtime | undefined;

process.on('message', (question: ProgramQuestion) => {
  void answer(question).then((reply) => process.send?.(reply));
});

async function answer(question: ProgramQuestion): Promise<Tensor[] | string> {
  try {
    if ('inputs' in question)
      return (await runtime?.run(question.inputs, question.outputs)) ?? 'nothing is loaded';
    await runtime?.close();
    const onnx = await nodeOnnxBackend();
    runtime = await loadProgram(JSON.parse(question.program), question.weights, { onnx });
    return [];
  } catch (error) {
    return String(error);
  }
}
