import { nodeOnnxBackend } from '#formats';
import { bindInputs, bindOutputs, loadProgram, type Runtime, type Tensor } from '#program';

/* Loads and runs programs for tests: onnxruntime does not take the typed arrays of a test's own realm. */

/** What the parent asks for: a program to load, or to run what it loaded last, as it is or as a request of users would. */
export type ProgramQuestion =
  | { program: string; weights: Uint8Array }
  | { inputs: Tensor[]; outputs: string[] }
  | { request: Tensor[]; signature?: string | undefined };

let runtime: Runtime | undefined;

process.on('message', (question: ProgramQuestion) => {
  void answer(question).then((reply) => process.send?.(reply));
});

async function answer(question: ProgramQuestion): Promise<Tensor[] | string> {
  try {
    if ('inputs' in question)
      return (await runtime?.run(question.inputs, question.outputs)) ?? 'nothing is loaded';
    if ('request' in question) return await request(question.request, question.signature);
    await runtime?.close();
    const onnx = await nodeOnnxBackend();
    runtime = await loadProgram(JSON.parse(question.program), question.weights, { onnx });
    return [];
  } catch (error) {
    return String(error);
  }
}

async function request(tensors: Tensor[], signature?: string): Promise<Tensor[] | string> {
  if (!runtime) return 'nothing is loaded';
  const bound = bindInputs(runtime, tensors, { maxRows: Infinity, signature });
  return runtime.run(bound, bindOutputs(runtime, undefined, signature));
}
