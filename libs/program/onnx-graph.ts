import type * as Ort from 'onnxruntime-common';
import { elementCount } from './dtype.js';
import type { OnnxBackend, OnnxSession } from './onnx-backend.js';
import type { BridgedInput, BridgedOutput, OnnxBridge } from './onnx-bridge.js';
import { fromBase64, joinSequence, bridgeModel, splitSequence } from './onnx-bridge.js';
import { ProgramError } from './program-error.js';
import type { DType, Tensor, TensorData } from './tensor.js';

/** The part of onnxruntime-node and onnxruntime-web that is used here. */
export type OnnxRuntimeLibrary = Pick<typeof Ort, 'InferenceSession' | 'Tensor'>;

const ortTypes = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Partial<Record<DType, Ort.Tensor.Type>>;

const dtypes = new Map<string, DType>(
  Object.entries(ortTypes).map(([dtype, type]) => [type, dtype as DType]),
);

/**
 * Runs ONNX graphs with onnxruntime, in Node and in browsers alike. One thread a session, so that a machine with many
 * models is not torn between their pools, and so that sums come out the same every time.
 */
export function onnxBackend(library: OnnxRuntimeLibrary): OnnxBackend {
  return {
    async load(files, main, bridge) {
      const model = files.get(main);
      if (!model)
        throw new ProgramError(
          'INVALID_PROGRAM',
          `The program has no file ${JSON.stringify(main)}.`,
        );
      const folder = main.slice(0, main.lastIndexOf('/') + 1);
      const externalData = (bridge?.external ?? []).map((location) => {
        const path =
          folder +
          location
            .split('/')
            .filter((part) => part !== '.')
            .join('/');
        const data = files.get(path);
        if (!data) throw new ProgramError('INVALID_PROGRAM', `The program has no file ${path}.`);
        return { path: location, data };
      });
      const session = await createSession(library, bridgeModel(model, bridge), externalData);
      let bytes = model.length;
      for (const { data } of externalData) bytes += data.length;
      return new OrtSession(library, session, bridge, bytes);
    },
  };
}

async function createSession(
  library: OnnxRuntimeLibrary,
  model: Uint8Array,
  externalData: { path: string; data: Uint8Array }[],
): Promise<Ort.InferenceSession> {
  try {
    return await library.InferenceSession.create(model, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 4,
      ...(externalData.length > 0 ? { externalData } : {}),
    });
  } catch (error) {
    throw new ProgramError('INVALID_PROGRAM', ortMessage(error));
  }
}

/** A message of onnxruntime without the places in its own source code. */
function ortMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/\/?onnxruntime_src\/\S+( \w[^\n(]*\(.*?\)(?= ))?/g, '')
    .replace(/\S+\.cc:\d+ ?/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 1000);
}

class OrtSession implements OnnxSession {
  private readonly defaults: [string, Ort.Tensor][] = [];
  private readonly inputs: Map<string, BridgedInput>;
  private readonly outputs: Map<string, BridgedOutput>;

  constructor(
    private readonly library: OnnxRuntimeLibrary,
    private readonly session: Ort.InferenceSession,
    bridge: OnnxBridge | undefined,
    readonly bytes: number,
  ) {
    this.inputs = new Map(Object.entries(bridge?.inputs ?? {}));
    this.outputs = new Map(Object.entries(bridge?.outputs ?? {}));
    for (const [name, input] of this.inputs)
      if (input.kind === 'default') {
        const { dtype, shape } = input;
        const data = fromBase64(input.data, dtype, elementCount(shape));
        this.defaults.push([name, this.toOrt({ name, dtype, shape, data })]);
      }
  }

  async run(inputs: Tensor[], outputs: string[]): Promise<Tensor[]> {
    const feeds = this.feeds(inputs);
    const fetches = new Set<string>();
    for (const name of outputs) for (const value of this.valuesOf(name)) fetches.add(value);
    let results: Ort.InferenceSession.ReturnType;
    try {
      results = await this.session.run(feeds, [...fetches]);
    } catch (error) {
      throw ProgramError.input('/inputs', `The model could not answer: ${ortMessage(error)}`);
    }
    const fetched = (value: string): Tensor => {
      const result = results[value];
      if (!result) throw ProgramError.input('/outputs', `The model gave no value "${value}".`);
      return fromOrt(value, result);
    };
    return outputs.flatMap((name) => answer(name, this.outputs.get(name), fetched));
  }

  async close(): Promise<void> {
    await this.session.release();
  }

  private valuesOf(name: string): string[] {
    const output = this.outputs.get(name);
    if (!output) return [name];
    if (output.kind === 'sequence') return [output.flat, output.shapes, output.ranks];
    return [output.value];
  }

  private feeds(inputs: Tensor[]): Record<string, Ort.Tensor> {
    const feeds: Record<string, Ort.Tensor> = {};
    if (this.inputs.size === 0) {
      for (const tensor of inputs) feeds[tensor.name] = this.toOrt(tensor);
      return feeds;
    }
    Object.assign(feeds, Object.fromEntries(this.defaults));
    for (const tensor of inputs) {
      const input = this.inputs.get(tensor.name);
      if (input?.kind === 'bfloat16') {
        const data = widen(tensor.data);
        feeds[input.value] = this.toOrt({ ...tensor, dtype: 'FP32', data });
      } else if (!this.isItem(tensor.name)) feeds[tensor.name] = this.toOrt(tensor);
    }
    for (const [name, input] of this.inputs) {
      if (input.kind !== 'sequence') continue;
      const { flat, shapes, ranks } = joinSequence(name, input, inputs);
      for (const tensor of [flat, shapes, ranks]) feeds[tensor.name] = this.toOrt(tensor);
    }
    return feeds;
  }

  /** Whether a tensor is an item of a sequence input, `NAME.0`, `NAME.1`, … */
  private isItem(name: string): boolean {
    const [, sequence] = /^(.*)\.\d+$/.exec(name) ?? [];
    return sequence !== undefined && this.inputs.get(sequence)?.kind === 'sequence';
  }

  private toOrt({ name, dtype, shape, data }: Tensor): Ort.Tensor {
    if (dtype === 'BF16')
      throw ProgramError.input('/inputs', `Input "${name}": this graph takes no BF16 tensor.`);
    if (dtype === 'BYTES') return this.textTensor(name, data, shape);
    // The constructor is overloaded by element type; that data and dtype belong together was checked when the input was bound.
    const make = this.library.Tensor as new (
      type: Ort.Tensor.Type,
      data: TensorData,
      dims: readonly number[],
    ) => Ort.Tensor;
    return new make(ortTypes[dtype], data, shape);
  }

  private textTensor(name: string, data: TensorData, shape: number[]): Ort.Tensor {
    const texts = (data as (string | Uint8Array | null)[]).map((element, index) => {
      if (typeof element !== 'string')
        throw ProgramError.input(
          '/inputs',
          `Element ${index} of input "${name}" is ${element === null ? 'missing' : 'not UTF-8'}; ONNX graphs take UTF-8 texts.`,
        );
      // onnxruntime passes C strings on: what follows a NUL would be lost in silence.
      if (element.includes('\0') || /\p{Surrogate}/u.test(element))
        throw ProgramError.input(
          '/inputs',
          `Element ${index} of input "${name}" has a character that ONNX Runtime cannot take (NUL or half of a surrogate pair).`,
        );
      return element;
    });
    return new this.library.Tensor('string', texts, shape);
  }
}

function answer(
  name: string,
  output: BridgedOutput | undefined,
  fetched: (value: string) => Tensor,
): Tensor[] {
  if (!output) return [fetched(name)];
  if (output.kind === 'sequence')
    return splitSequence(name, fetched(output.flat), fetched(output.shapes), fetched(output.ranks));
  const tensor = fetched(output.value);
  if (output.kind === 'bfloat16')
    return [{ ...tensor, name, dtype: 'BF16', data: narrow(tensor.data) }];
  const { labels } = output;
  const shape = tensor.shape.length === 1 ? [1, ...tensor.shape] : tensor.shape;
  if (shape.length !== 2 || shape[1] !== labels.length)
    throw ProgramError.input(
      '/inputs',
      `The model made probabilities of shape [${tensor.shape.join(', ')}] for its ${labels.length} labels.`,
    );
  return [{ ...tensor, name, shape, parameters: { labels } }];
}

function fromOrt(name: string, result: Ort.Tensor): Tensor {
  const dtype = dtypes.get(result.type);
  if (!dtype)
    throw ProgramError.input(
      '/outputs',
      `Output "${name}" is of ${result.type}, which has no dtype.`,
    );
  const data: unknown = result.data;
  const shape = [...result.dims];
  if (dtype === 'BYTES') return { name, dtype, shape, data: data as string[] };
  if (dtype === 'FP16' && !(data instanceof Uint16Array)) {
    // Where the host has Float16Array, onnxruntime answers with it.
    const { buffer, byteOffset } = data as Uint16Array;
    return { name, dtype, shape, data: new Uint16Array(buffer, byteOffset, result.size) };
  }
  return { name, dtype, shape, data: data as TensorData };
}

/** The bits of bfloat16 numbers → the same numbers in float32. */
function widen(data: TensorData): Float32Array {
  const bits = Uint32Array.from(data as Uint16Array, (value) => value << 16);
  return new Float32Array(bits.buffer);
}

/** Float32 numbers that came from bfloat16 → their bits; exact, because the lower half is zero. */
function narrow(data: TensorData): Uint16Array {
  const { buffer, byteOffset, length } = data as Float32Array;
  return Uint16Array.from(new Uint32Array(buffer, byteOffset, length), (value) => value >>> 16);
}
