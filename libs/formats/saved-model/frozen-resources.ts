import type { UploadedFile } from '../importer.js';
import type { OpRule, TfOp, TfValue } from '../tensorflow/op-rule.js';
import type { TfTable } from '../tensorflow/table.js';
import type { TfNode, TfTensor } from '../tensorflow/tf-graph.js';
import type { TfVariable } from '../tensorflow/variable.js';
import type { GraphValue } from '../tensor-graph/tensor-graph.js';
import type { MetaGraph } from './meta-graph.js';
import { readStored, traceRestore, type StoredTensor } from './restored-variables.js';
import { readTables } from './initialised-tables.js';
import type { TensorBundle } from './tensor-bundle.js';

/** What the operations that make variables and tables stand for. */
export interface FrozenResources {
  rules: ReadonlyMap<string, OpRule>;
}

const VARIABLES = 'VarHandleOp VariableV2 Variable'.split(' ');
const TABLES =
  'HashTable HashTableV2 MutableHashTable MutableHashTableV2 MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableDenseHashTable MutableDenseHashTableV2'.split(
    ' ',
  );

/** Where the contents of variables and tables are. */
export interface ResourceSources {
  /** Files of the SavedModel, by their paths in it. */
  files: ReadonlyMap<string, UploadedFile>;
  bundle: TensorBundle | undefined;
  /** Variables beside those that the model restores itself. */
  variables: ReadonlyMap<TfNode, StoredTensor>;
}

/** Reads the variables and tables that the nodes in `needed` make. */
export async function freezeResources(
  meta: MetaGraph,
  { files, bundle, variables }: ResourceSources,
  needed: ReadonlySet<TfNode>,
): Promise<FrozenResources> {
  const restored = traceRestore(meta);
  const tensors = new Map<TfNode, TfTensor>();
  for (const [node, stored] of [...restored.variables, ...variables])
    if (needed.has(node)) tensors.set(node, await readStored(bundle, stored));
  const tables = await readTables(meta, { files, restored, bundle, needed });
  return { rules: rulesOf(tensors, tables) };
}

function rulesOf(
  variables: ReadonlyMap<TfNode, TfTensor>,
  tables: ReadonlyMap<TfNode, TfTable | string>,
): ReadonlyMap<string, OpRule> {
  const values = new Map<TfTensor, GraphValue>();
  const valueOf = (op: TfOp): GraphValue => {
    const tensor = variables.get(op.node);
    if (!tensor) return op.unsupported('the model does not restore it from its checkpoint.');
    const known = values.get(tensor);
    if (known) return known;
    const value = op.graph.constant(op.tensorType(tensor.dtype), tensor.shape, tensor.data);
    values.set(tensor, value);
    return value;
  };
  const variable: OpRule = (op): TfValue[] => {
    if (op.node.op !== 'VarHandleOp') return [valueOf(op)];
    const made: TfVariable = {
      resource: 'variable',
      name: op.node.name,
      get value() {
        return valueOf(op);
      },
    };
    return [made];
  };
  const table: OpRule = (op) => {
    const found = tables.get(op.node) ?? 'nothing fills the table.';
    return typeof found === 'string' ? op.unsupported(found) : [found];
  };
  return new Map([
    ...VARIABLES.map((name) => [name, variable] as const),
    ...TABLES.map((name) => [name, table] as const),
  ]);
}
