import type { Signatures, TensorFlowSignature, TensorFlowTensor } from '#program';
import { UnsupportedModel, type UploadedFile, type Verdict } from '../importer.js';
import { TensorGraph, type GraphNode } from '../tensor-graph/tensor-graph.js';
import { writeGraph, type GraphSignature } from '../tensor-graph/write-graph.js';
import { opRules } from '../tensorflow/ops/op-rules.js';
import type { TfNode } from '../tensorflow/tf-graph.js';
import { nameOfType } from '../tensorflow/tf-types.js';
import { freezeResources } from './frozen-resources.js';
import { dependencies, refuseEffects } from './lasting-effects.js';
import { askSignature, lowerSignature, type AskedSignature } from './lowered-signatures.js';
import {
  readSavedModel,
  type MetaGraph,
  type SignatureDef,
  type TensorInfo,
} from './meta-graph.js';
import { moduleFunctions, type ModuleFunctions } from './module-functions.js';
import { TensorBundle } from './tensor-bundle.js';

const MOST_SIGNATURES = 200;
/** ONNX Runtime takes minutes to load more. */
const MOST_OPERATORS = 50_000;
const DEFAULT = 'serving_default';
const CALL = '__call__';

/**
 * Compiles a SavedModel: each signature by itself, so that one that is not supported does not spoil the others. `file` is its
 * `saved_model.pb`, `files` are all of its folder by their paths there. Throws UnsupportedModel and DamagedModel.
 */
export async function compileSavedModel(
  file: UploadedFile,
  files: ReadonlyMap<string, UploadedFile>,
  importer: string,
): Promise<Verdict> {
  const meta = readSavedModel(await file.read());
  const bundle = await TensorBundle.open(files, 'variables/variables');
  const model = await served(meta, bundle);
  const { signatures, variables, refused } = model;
  const graph = new TensorGraph();
  const named = new Map<string, GraphSignature>();
  const each = <T>(entries: ReadonlyMap<string, T>, act: (entry: T, name: string) => void) => {
    for (const [name, entry] of entries)
      try {
        act(entry, name);
      } catch (error) {
        if (!(error instanceof UnsupportedModel)) throw error;
        refused.set(name, error.message);
      }
  };
  const asked = new Map<string, AskedSignature>();
  each(signatures, (signature, name) => {
    asked.set(name, askSignature(graph, model.graph, signature));
  });
  const read = new Set<TfNode>();
  each(asked, (one) => dependencies(one.graph, one).forEach((node) => read.add(node)));
  const resources = await freezeResources(meta, { files, bundle, variables }, read);
  const rules = new Map([...opRules, ...resources.rules]);
  each(asked, (one, name) => {
    refuseEffects(one.graph, one, read);
    named.set(name, lowerSignature(graph, one, rules));
  });
  const told = {
    ...(model.default !== undefined && { default: model.default }),
    ...(refused.size > 0 && { refused: Object.fromEntries(refused) }),
    tensorflow: shownSignatures(meta),
  };
  if (named.size === 0)
    return {
      state: 'unsupported',
      reason: noneWorks(refused),
      signatures: { named: {}, ...told },
    };
  refuseTooMany(operatorsOf(graph.nodes));
  const written = writeGraph(graph.nodes, {
    importer,
    format: 'saved-model',
    signatures: { named, ...told },
  });
  return { state: 'servable', ...written };
}

/** Operators and kernels, those inside of loops and branches too. */
function operatorsOf(nodes: readonly GraphNode[]): number {
  return nodes.reduce((count, node) => {
    const bodies = node.kind === 'onnx' ? Object.values(node.bodies) : [];
    return bodies.reduce((sum, { scope }) => sum + operatorsOf(scope.nodes), count + 1);
  }, 0);
}

function refuseTooMany(operators: number): void {
  if (operators > MOST_OPERATORS)
    throw new UnsupportedModel(
      `The model needs ${operators} operators; ${MOST_OPERATORS} are supported.`,
    );
}

/** What a model is asked by. */
interface Served extends ModuleFunctions {
  default?: string;
}

/** The signatures of a model, or, where it has none, its functions. */
async function served(meta: MetaGraph, bundle: TensorBundle | undefined): Promise<Served> {
  const signatures = ownSignatures(meta);
  if (signatures.size > MOST_SIGNATURES)
    throw new UnsupportedModel(
      `The model has ${signatures.size} signatures; ${MOST_SIGNATURES} are supported.`,
    );
  if (signatures.size > 0) {
    const { graph } = meta;
    const made: Served = { graph, signatures, refused: new Map(), variables: new Map() };
    return signatures.has(DEFAULT) ? { ...made, default: DEFAULT } : made;
  }
  const functions = await moduleFunctions(meta, bundle);
  if (functions.signatures.size + functions.refused.size === 0)
    throw new UnsupportedModel(
      'The model has neither signatures nor functions to call. Save it with some: tf.saved_model.save(model, folder, signatures=…).',
    );
  const called = functions.signatures.has(CALL) || functions.refused.has(CALL);
  return called ? { ...functions, default: CALL } : functions;
}

/** All signatures but those that load the model. */
function ownSignatures({ signatures }: MetaGraph): Map<string, SignatureDef> {
  return new Map(
    [...signatures]
      .filter(([name]) => !/^__saved_model_(init|train)_op$/.test(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function noneWorks(refused: ReadonlyMap<string, string>): string {
  const [first, ...others] = refused;
  const more = others.length > 0 ? ` (and ${others.length} more signatures are refused)` : '';
  return `None of the signatures can be run. ${JSON.stringify(first?.[0] ?? '')}: ${first?.[1] ?? ''}${more}`;
}

/** What `saved_model_cli show --all` shows. */
function shownSignatures(meta: MetaGraph): NonNullable<Signatures['tensorflow']> {
  const tensors = (infos: ReadonlyMap<string, TensorInfo>): TensorFlowTensor[] =>
    [...infos]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, info]) => ({
        name,
        dtype: nameOfType(info.dtype),
        shape: info.shape ?? null,
        tensor: info.name,
      }));
  const shown = [...ownSignatures(meta)].map(([name, signature]): [string, TensorFlowSignature] => [
    name,
    {
      methodName: signature.method,
      inputs: tensors(signature.inputs),
      outputs: tensors(signature.outputs),
    },
  ]);
  return { tags: meta.tags, signatures: Object.fromEntries(shown) };
}
