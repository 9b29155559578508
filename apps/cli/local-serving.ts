import { DomainError, problemOf, readConfig } from '#platform';
import { nodeOnnxBackend } from '#formats';
import {
  bindInputs,
  bindOutputs,
  loadProgram,
  needsOnnx,
  type Program,
  ProgramError,
  type Runtime,
  showInputs,
} from '#program';
import {
  CodecError,
  decodeInferRequest,
  encodeInferResponse,
  modelMetadata,
  signatureName,
} from '#protocols';
import { type CompiledModel, compiledModel } from './compiled-model.js';

const MOST_DEPTH = 32;

/**
 * What the SDK's `fetch` finds where no server is: a model on this machine that answers as the serving port does, errors
 * included. `GET` describes it, `POST` predicts, whatever the path.
 */
export async function localServing(path: string): Promise<typeof fetch> {
  const model = await compiledModel([path]);
  const { program, weights, files } = model;
  const onnx = needsOnnx(program.nodes) ? await nodeOnnxBackend() : undefined;
  const runtime = await loadProgram(program, weights, { files, ...(onnx && { onnx }) });
  return async (_, init) => {
    try {
      const text =
        init?.method === 'POST'
          ? await predict(model, runtime, await new Response(init.body).arrayBuffer())
          : JSON.stringify(describe(model.name, program));
      return answer(200, text);
    } catch (error) {
      const problem = problemOf(expected(error, runtime), model.name);
      // There is no log that a client could be sent to.
      if (problem.code === 'INTERNAL') throw error;
      return answer(problem.status, JSON.stringify(problem));
    }
  };
}

function answer(status: number, text: string): Response {
  const type = status === 200 ? 'application/json' : 'application/problem+json';
  return new Response(text, { status, headers: { 'content-type': type } });
}

function describe(name: string, { format, signature, signatures }: Program): unknown {
  return modelMetadata({ name, format, signature, signatures });
}

async function predict(
  { name }: CompiledModel,
  runtime: Runtime,
  body: ArrayBuffer,
): Promise<string> {
  const { MAX_ROWS: maxRows } = readConfig();
  const { id, inputs, outputs, parameters } = decodeInferRequest(Buffer.from(body), {
    maxRows,
    maxDepth: MOST_DEPTH,
  });
  const signature = signatureName(parameters);
  const bound = bindInputs(runtime, inputs, { maxRows, signature });
  const wanted = bindOutputs(
    runtime,
    outputs?.map((output) => output.name),
    signature,
  );
  const answers = await runtime.run(bound, wanted);
  return encodeInferResponse({ modelName: name, modelVersion: 'local', id, outputs: answers });
}

/** What was wrong with the request, with the inputs that are expected. */
function expected(error: unknown, { signature }: Runtime): unknown {
  const wrong =
    error instanceof CodecError ||
    (error instanceof ProgramError && error.code === 'INVALID_INPUT');
  if (!wrong) return error;
  const { pointer = '', message } = error;
  const inputs = pointer.startsWith('/inputs') ? showInputs(signature) : '';
  return DomainError.invalid(
    pointer,
    message.includes(inputs) ? message : `${message} Expected ${inputs}.`,
  );
}
