import type { OnnxBridge, OnnxSession, Program, TensorSpec } from '#program';
import { ProgramError, SCHEMA_VERSION } from '#program';
import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
  type Verdict,
} from '../importer.js';
import { nodeOnnxBackend } from '../node-onnx.js';
import { bridgeGraph, type GraphPorts } from './onnx-bridging.js';
import { checkOnnxModel } from './onnx-checks.js';
import { compileMlGraph } from './onnx-ml-graph.js';
import { readOnnxModel, type OnnxGraph, type OnnxModel } from './onnx-model.js';
import { hasIndependentRows } from './onnx-rows.js';

/**
 * ONNX models: checked here, then run by ONNX Runtime as they are (the program's files are the uploaded ones), but for graphs
 * of trees and linear models that kernels do exactly ({@link compileMlGraph}).
 */
export const onnxImporter: ModelImporter = {
  format: 'onnx',
  version: '4',
  async recognises(files) {
    return (await findModels(files)).length > 0;
  },
  compile,
};

async function compile(files: UploadedFile[]): Promise<Verdict> {
  const file = await chooseModel(files);
  const bytes = await file.read();
  const model = readOnnxModel(bytes);
  const { graph } = model;
  if (!graph) throw new DamagedModel('The model has no graph.');
  const whole: OnnxModel & { graph: OnnxGraph } = { ...model, graph };
  const sizes = new Map(files.map(({ path, size }) => [path, size]));
  const external = checkOnnxModel(whole, file.path, sizes);
  const ports = bridgeGraph(
    whole,
    external.map(({ location }) => location),
  );
  const parts = new Map([[file.path, file.path]]);
  for (const { path } of external) parts.set(path, path);
  const contents = new Map([[file.path, bytes]]);
  for (const part of files)
    if (parts.has(part.path) && part !== file) contents.set(part.path, await part.read());
  const session = await createSession(contents, file.path, ports.bridge);
  await session.close();
  const importer = `${onnxImporter.format}@${onnxImporter.version}`;
  const compiled = compileMlGraph(whole, ports, importer);
  if (compiled) return { state: 'servable', ...compiled };
  return {
    state: 'servable',
    program: {
      ...programOf(file.path, ports, parts, sizes),
      rowwise: hasIndependentRows(whole, ports),
    },
    weights: new Uint8Array(0),
    files: parts,
  };
}

function programOf(
  main: string,
  { inputs, outputs, bridge }: GraphPorts,
  parts: Map<string, string>,
  sizes: Map<string, number>,
): Omit<Program, 'rowwise'> {
  const names = (specs: TensorSpec[]) => specs.map(({ name }) => [name, name] as const);
  const passedOn = new Set(inputs.map(({ name }) => name));
  return {
    schemaVersion: SCHEMA_VERSION,
    importer: `${onnxImporter.format}@${onnxImporter.version}`,
    format: onnxImporter.format,
    signature: { inputs, outputs },
    binding: { kind: 'tensors' },
    nodes: [
      {
        kind: 'onnx',
        inputs: Object.fromEntries(names(inputs)),
        outputs: Object.fromEntries(names(outputs.filter(({ name }) => !passedOn.has(name)))),
        file: main,
        bridge,
      },
    ],
    weights: { size: 0 },
    files: [...parts.keys()].map((path) => ({ path, size: sizes.get(path) ?? 0 })),
  };
}

/** The full check of types, shapes and operators is ONNX Runtime's. */
async function createSession(
  contents: Map<string, Uint8Array>,
  main: string,
  bridge: OnnxBridge,
): Promise<OnnxSession> {
  try {
    return await (await nodeOnnxBackend()).load(contents, main, bridge);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    if (/bad_alloc|allocate memory/i.test(error.message))
      throw new DamagedModel('Loading the model needs more memory than compiling may take.');
    const reason = `ONNX Runtime refuses the graph: ${error.message.replace("Name:'' ", '')}`;
    if (
      /NOT_IMPLEMENTED|Could not find an implementation|not a registered function\/op|No Op registered/i.test(
        reason,
      )
    )
      throw new UnsupportedModel(reason);
    throw new DamagedModel(reason);
  }
}

async function chooseModel(files: UploadedFile[]): Promise<UploadedFile> {
  const models = await findModels(files);
  const named = models.filter(({ path }) => /(^|\/)model\.onnx$/.test(path));
  const [only, other] = models.length === 1 ? models : named;
  if (only && !other) return only;
  if (models.length === 0) throw new DamagedModel('None of the files is an ONNX model.');
  const paths = models.slice(0, 5).map(({ path }) => path);
  throw new UnsupportedModel(
    `There are ${models.length} ONNX models (${paths.join(', ')}); name the one to serve model.onnx.`,
  );
}

async function findModels(files: UploadedFile[]): Promise<UploadedFile[]> {
  const named = files.filter(({ path }) => path.endsWith('.onnx'));
  if (named.length > 0 || files.length > 20) return named;
  const looks = await Promise.all(files.map(looksLikeModel));
  return files.filter((_, index) => looks[index]);
}

/** A ModelProto begins with its IR version in all that exporters write; a known field follows. */
async function looksLikeModel(file: UploadedFile): Promise<boolean> {
  const [tag, version = 0, next = 0] = await file.read(0, 3);
  return tag === 0x08 && version >= 3 && version <= 13 && [0x12, 0x3a, 0x42].includes(next);
}
