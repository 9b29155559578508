import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { importers, type UploadedFile } from '#formats';
import {
  loadProgram,
  type Forest,
  type Program,
  type Runtime,
  type Tensor,
  type WeightRef,
} from '#program';
import { treeEnsembleModel, type ForestNodes } from './onnx-writer.js';

/** A model as it is served. */
export interface CompiledForest {
  runtime: Runtime;
  forest: Forest;
  weights: Uint8Array;
  dtype: 'FP32' | 'FP64';
}

/** Compiles a model file as the registry does. */
export async function compileForest(format: string, bytes: Uint8Array): Promise<CompiledForest> {
  const upload: UploadedFile[] = [
    {
      path: format === 'xgboost' ? 'model.json' : 'model.txt',
      size: bytes.length,
      read: async (offset = 0, length = bytes.length) => bytes.subarray(offset, offset + length),
    },
  ];
  const importer = importers.find((candidate) => candidate.format === format);
  const verdict = await importer?.compile(upload, {});
  if (verdict?.state !== 'servable')
    throw new Error(`the model is not servable: ${JSON.stringify(verdict)}`);
  const forest = forestOf(verdict.program);
  return {
    runtime: await loadProgram(verdict.program, verdict.weights),
    forest,
    weights: verdict.weights,
    dtype: forest.inputDtype,
  };
}

/** The same trees as an ONNX graph. */
export function onnxOf({ forest, weights }: CompiledForest): Uint8Array {
  return treeEnsembleModel(forest, nodesOf(forest, weights));
}

/** ONNX Runtime on one thread. */
export interface OrtForest {
  /** The public door, then what is below it: the call itself, without a promise and a turn of the event loop. */
  ways: {
    'session.run': (rows: Tensor) => Promise<unknown>;
    'native call': (rows: Tensor) => unknown;
  };
  margins(rows: Tensor): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function ortSession(onnx: Uint8Array): Promise<OrtForest> {
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
  const session = await InferenceSession.create(onnx, options);
  const native = nativeSession(onnx, options);
  const feeds = ({ data, shape }: Tensor) => ({
    X: new OrtTensor('float32', data as Float32Array, shape),
  });
  return {
    ways: {
      'session.run': (rows) => session.run(feeds(rows)),
      'native call': (rows) => native.run(feeds(rows), { Y: null }, {}),
    },
    margins: async (rows) => (await session.run(feeds(rows)))['Y']?.data as Float32Array,
    release: () => session.release(),
  };
}

interface NativeSession {
  loadModel(model: ArrayBufferLike, offset: number, length: number, options: object): void;
  run(feeds: object, fetches: object, options: object): Record<string, { data: Float32Array }>;
}

function nativeSession(onnx: Uint8Array, options: object): NativeSession {
  const load = createRequire(import.meta.url);
  const native = load(join(dirname(load.resolve('onnxruntime-node')), 'binding.js')) as {
    binding: { InferenceSession: new () => NativeSession };
    initOrt(): void;
  };
  native.initOrt();
  const session = new native.binding.InferenceSession();
  session.loadModel(onnx.buffer, onnx.byteOffset, onnx.byteLength, options);
  return session;
}

function forestOf(program: Program): Forest {
  const node = program.nodes.find((candidate) => candidate.kind === 'forest');
  if (node?.kind !== 'forest') throw new Error('the program has no forest');
  return node.forest;
}

function nodesOf({ weights }: Forest, bytes: Uint8Array): ForestNodes {
  const { buffer, byteOffset } = bytes;
  const int32 = ({ offset, shape }: WeightRef) =>
    new Int32Array(buffer, byteOffset + offset, shape[0]);
  const floats = ({ dtype, offset, shape }: WeightRef) =>
    dtype === 'FP32'
      ? new Float32Array(buffer, byteOffset + offset, shape[0])
      : new Float64Array(buffer, byteOffset + offset, shape[0]);
  return {
    starts: int32(weights.starts),
    features: int32(weights.features),
    thresholds: floats(weights.thresholds),
    left: int32(weights.left),
    right: int32(weights.right),
    flags: new Uint8Array(buffer, byteOffset + weights.flags.offset, weights.flags.shape[0]),
    values: floats(weights.values),
    base: weights.base ? (floats(weights.base)[0] ?? 0) : 0,
  };
}
