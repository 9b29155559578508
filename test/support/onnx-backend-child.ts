import { readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type * as Ort from 'onnxruntime-common';
import * as ort from 'onnxruntime-node';
import { nodeOnnxBackend, onnxImporter, type UploadedFile } from '#formats';
import { bindInputs, bindOutputs, compareTensors, loadProgram, type Tensor } from '#program';
import { readOnnxModel } from '../../libs/formats/onnx/onnx-model.js';
import { backendTensors, NoDType } from './onnx-backend.js';

/* Runs tests of the onnx package, one after the other, and asks onnxruntime itself where one is not passed. */

/** How a test went. */
export interface BackendResult {
  /**
   * - `passed`: imported, run, and every output within the tolerance.
   * - `refused`: not answered, and onnxruntime-node, asked directly, does not answer either.
   * - `differs`: answered with other values, and onnxruntime-node, asked directly, gives the very same.
   * - `failed`: a fault of ours.
   */
  outcome: 'passed' | 'refused' | 'differs' | 'failed';
  /** What we said. */
  ours?: string;
  /** What onnxruntime said. */
  theirs?: string;
}

/** ONNX's own. */
const TOLERANCE = { rtol: 1e-3, atol: 1e-7 };

process.on('message', (test: string) => {
  void answer(test).then((result) => process.send?.(result));
});

async function answer(test: string): Promise<BackendResult> {
  const bytes = new Uint8Array(readFileSync(join(test, 'model.onnx')));
  let asked: Tensor[][] | undefined;
  let got: Tensor[][] = [];
  let ours: string;
  try {
    const model = readOnnxModel(bytes);
    asked = backendTensors(test, model, 'input');
    const expected = backendTensors(test, model, 'output');
    got = await run(test, asked);
    const faults = expected.flatMap((tensors, i) => {
      const { equal, greatest } = compareTensors(got[i] ?? [], tensors, TOLERANCE);
      return equal ? [] : [greatest ? `${greatest.output} ${greatest.message}` : 'differs'];
    });
    if (faults.length === 0) return { outcome: 'passed' };
    ours = faults.join('; ');
  } catch (error) {
    ours =
      error instanceof NoDType ? `predictions have no dtype for ${error.message}` : String(error);
  }
  // What they do may end this process.
  process.send?.({ ours });
  return { ours, ...(await askThem(bytes, asked, got)) };
}

async function run(test: string, asked: Tensor[][]): Promise<Tensor[][]> {
  const verdict = await onnxImporter.compile([fileOf(join(test, 'model.onnx'))], {});
  if (verdict.state !== 'servable') throw new Error(verdict.reason);
  const stored: unknown = JSON.parse(JSON.stringify(verdict.program));
  const files = new Map([['model.onnx', new Uint8Array(readFileSync(join(test, 'model.onnx')))]]);
  const onnx = await nodeOnnxBackend();
  const runtime = await loadProgram(stored, verdict.weights, { files, onnx });
  try {
    const answers: Tensor[][] = [];
    for (const inputs of asked) {
      const bound = bindInputs(runtime, inputs, { maxRows: Infinity });
      answers.push(await runtime.run(bound, bindOutputs(runtime)));
    }
    return answers;
  } finally {
    await runtime.close();
  }
}

async function askThem(
  bytes: Uint8Array,
  asked: Tensor[][] | undefined,
  got: Tensor[][],
): Promise<Pick<BackendResult, 'outcome' | 'theirs'>> {
  try {
    const options = { logSeverityLevel: 4, intraOpNumThreads: 1 } as const;
    const session = await ort.InferenceSession.create(bytes, options);
    const faults: string[] = [];
    for (const [i, inputs] of (asked ?? [undefined]).entries()) {
      const results = await session.run(inputs ? feedsOf(inputs) : oddFeeds(session));
      for (const [name, { data }] of Object.entries(results)) {
        const own = got[i]?.find((tensor) => tensor.name === name);
        if (!own) faults.push(`it answers ${name}`);
        else if (!isSame(own, data)) faults.push(`its ${name} is another`);
      }
    }
    if (faults.length > 0) return { outcome: 'failed', theirs: faults.join('; ') };
    return { outcome: 'differs', theirs: 'it answers the same' };
  } catch (error) {
    return { outcome: 'refused', theirs: String(error).slice(0, 300) };
  }
}

function feedsOf(inputs: Tensor[]): Record<string, Ort.Tensor> {
  return Object.fromEntries(inputs.map((tensor) => [tensor.name, feed(tensor)]));
}

/** For a test whose inputs have no dtype of ours: whether onnxruntime-node takes tensors of their types at all. */
function oddFeeds({ inputMetadata }: Ort.InferenceSession): Record<string, Ort.Tensor> {
  const feeds: Record<string, Ort.Tensor> = {};
  for (const value of inputMetadata) {
    if (!value.isTensor) throw new Error(`Its input ${value.name} is no tensor`);
    if (/^(bool|string|float(16|32|64)|u?int(8|16|32|64))$/.test(value.type)) continue;
    feeds[value.name] = new ort.Tensor(value.type as 'uint8', new Uint8Array(0), [0]);
  }
  return feeds;
}

function isSame({ data, dtype }: Tensor, theirs: Ort.Tensor.DataType): boolean {
  if (dtype === 'BYTES') return (data as string[]).join('\0') === (theirs as string[]).join('\0');
  const [a, b] = [data as Float32Array, theirs as Float32Array];
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );
}

const types: Record<string, Ort.Tensor.Type> = {
  BOOL: 'bool',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

function feed({ dtype, shape, data }: Tensor): Ort.Tensor {
  const Make = ort.Tensor as new (
    type: Ort.Tensor.Type,
    data: unknown,
    dims: number[],
  ) => Ort.Tensor;
  return new Make(types[dtype] ?? (dtype.toLowerCase() as Ort.Tensor.Type), data, shape);
}

function fileOf(path: string): UploadedFile {
  const { size } = statSync(path);
  return {
    path: 'model.onnx',
    size,
    async read(offset = 0, length = size) {
      const file = await open(path);
      try {
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
        await file.read(bytes, 0, bytes.length, offset);
        return bytes;
      } finally {
        await file.close();
      }
    },
  };
}
