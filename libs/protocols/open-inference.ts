import type { RowRange, Tensor } from '#program';
import { CodecError, excerpt } from './codec-error.js';
import { hasLongNumbers, parseExact, parseJson, textOf } from './json-text.js';
import { isObject, readTensors, type TensorLimits } from './tensor-reader.js';
import { quote, writeTensors } from './tensor-writer.js';

export interface InferLimits extends TensorLimits {
  /** Deepest nesting of lists and objects in the body. */
  maxDepth: number;
}

export interface RequestedOutput {
  name: string;
  parameters?: Record<string, unknown>;
}

export interface InferRequest {
  id?: string;
  parameters?: Record<string, unknown>;
  /** Elements as the request had them; names, dtypes and shapes are not yet held against a signature. */
  inputs: Tensor[];
  /** Absent where the request leaves the choice to the model. */
  outputs?: RequestedOutput[];
}

export interface InferResponse {
  modelName: string;
  modelVersion: number | string;
  id?: string | undefined;
  parameters?: Record<string, unknown>;
  outputs: readonly Tensor[];
  /** The rows of the outputs that are the answer; absent: all. */
  rows?: RowRange | undefined;
}

/**
 * Reads the body of `POST …/infer` (Open Inference Protocol V2, inference_rest.md). Data may be flat or nested; INT64 and
 * UINT64 are exact; null, "NaN", "Infinity" and "-Infinity" stand for numbers in float tensors. Members that the protocol
 * does not name are ignored, and so are wishes for binary outputs: the answer is JSON, which clients tell apart themselves.
 *
 * @throws CodecError with a pointer to the first fault.
 */
export function decodeInferRequest(body: Buffer, limits: InferLimits): InferRequest {
  const text = textOf(body);
  let json = parseJson(text, limits.maxDepth);
  if (hasWideIntegers(json) && hasLongNumbers(text)) json = parseExact(text);
  if (!isObject(json)) {
    throw new CodecError('', `The body is ${excerpt(json)}; expected an object { inputs: [ … ] }.`);
  }
  const request: InferRequest = { inputs: readTensors(json['inputs'], '/inputs', limits) };
  const id = json['id'] ?? undefined;
  if (id !== undefined) request.id = readId(id);
  const parameters = json['parameters'] ?? undefined;
  if (parameters !== undefined) request.parameters = readParameters(parameters, '/parameters');
  const outputs = json['outputs'] ?? undefined;
  if (outputs !== undefined) request.outputs = readOutputs(outputs);
  return request;
}

/**
 * Writes the answer to an infer request. Floats read back to the same FP64 or FP32, NaN and the infinities are strings,
 * 64-bit integers have all their digits; BYTES that are not UTF-8 make their tensor base64, said by its `content_type`.
 */
export function encodeInferResponse(response: InferResponse): string {
  let text = `{"model_name":${quote(response.modelName)},"model_version":"`;
  text +=
    typeof response.modelVersion === 'number'
      ? `${response.modelVersion}"`
      : quote(response.modelVersion).slice(1);
  if (response.id !== undefined) text += `,"id":${quote(response.id)}`;
  if (response.parameters !== undefined) {
    text += `,"parameters":${JSON.stringify(response.parameters)}`;
  }
  return `${text},"outputs":${writeTensors(response.outputs, response.rows)}}`;
}

/**
 * Which signature the `parameters` of a request ask for; undefined: they leave it to the model.
 *
 * @param pointer JSON pointer to the parameters
 * @throws CodecError where it is no name
 */
export function signatureName(parameters: unknown, pointer = '/parameters'): string | undefined {
  const name = isObject(parameters) ? (parameters['signature_name'] ?? undefined) : undefined;
  if (name === undefined || typeof name === 'string') return name;
  const place = `${pointer}/signature_name`;
  throw new CodecError(
    place,
    `${place} is ${excerpt(name)}; expected the name of a signature, or none for the default one.`,
  );
}

/** Whether a tensor says that it has 64-bit integers; looks at nothing else, and trusts nothing. */
function hasWideIntegers(json: unknown): boolean {
  if (!isObject(json) || !Array.isArray(json['inputs'])) return false;
  for (const tensor of json['inputs']) {
    const dtype: unknown = isObject(tensor) ? tensor['datatype'] : undefined;
    if (dtype === 'INT64' || dtype === 'UINT64') return true;
  }
  return false;
}

function readId(id: unknown): string {
  if (typeof id !== 'string') {
    throw new CodecError('/id', `/id is ${excerpt(id)}; expected a string, or no id.`);
  }
  return id;
}

function readParameters(parameters: unknown, pointer: string): Record<string, unknown> {
  if (!isObject(parameters)) {
    throw new CodecError(pointer, `${pointer} is ${excerpt(parameters)}; expected an object.`);
  }
  return parameters;
}

function readOutputs(outputs: unknown): RequestedOutput[] {
  if (!Array.isArray(outputs)) {
    throw new CodecError(
      '/outputs',
      `/outputs is ${excerpt(outputs)}; expected a list of { name }, or none for the model's own choice.`,
    );
  }
  const seen = new Set<string>();
  return outputs.map((output: unknown, i) => {
    const pointer = `/outputs/${i}`;
    const name = isObject(output) ? output['name'] : undefined;
    if (!isObject(output) || typeof name !== 'string' || name === '') {
      throw new CodecError(pointer, `${pointer} is ${excerpt(output)}; expected { name: "…" }.`);
    }
    if (seen.has(name)) {
      throw new CodecError(
        `${pointer}/name`,
        `${pointer} asks for ${excerpt(name)} a second time; each output may stand once.`,
      );
    }
    seen.add(name);
    const parameters = output['parameters'] ?? undefined;
    if (parameters === undefined) return { name };
    return { name, parameters: readParameters(parameters, `${pointer}/parameters`) };
  });
}
