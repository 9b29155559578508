import { ByteReader } from '../byte-reader.js';
import { UnsupportedModel } from '../importer.js';
import {
  MOST,
  type TreeliteModel,
  type TreeliteNode,
  type TreeliteOperator,
  type TreeliteTree,
} from './model.js';

/** `TypeInfo` of Treelite. */
const TYPES: Record<number, 'FP32' | 'FP64'> = { 2: 'FP32', 3: 'FP64' };
/** `Operator` of Treelite; equality is not supported. */
const OPERATORS: Record<number, TreeliteOperator> = { 2: '<', 3: '<=', 4: '>', 5: '>=' };
const TASKS = ['kBinaryClf', 'kRegressor', 'kMultiClf', 'kLearningToRank', 'kIsolationForest'];
const MOST_MINOR = 100;

/** Whether the first bytes of a file are those of a checkpoint of Treelite 3 or 4: version, types, and counts that can be. */
export function isCheckpoint(head: Uint8Array): boolean {
  if (head.length < 28) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const [major, minor, patch] = [0, 4, 8].map((at) => view.getUint32(at, true));
  return (
    (major === 3 || major === 4) &&
    Number(minor) < MOST_MINOR &&
    Number(patch) < MOST_MINOR &&
    TYPES[view.getUint8(12)] !== undefined &&
    [1, 2, 3].includes(view.getUint8(13)) &&
    view.getUint32(18, true) === 0 &&
    view.getUint32(22, true) <= MOST.features &&
    view.getUint8(26) < TASKS.length &&
    view.getUint8(27) <= 1
  );
}

/** Reads what `Model.serialize` of Treelite 4 writes (`serializer.cc` of 4.x). Throws DamagedModel and UnsupportedModel. */
export function readCheckpoint(bytes: Uint8Array): TreeliteModel {
  const reader = new CheckpointReader(bytes, 'Treelite checkpoint');
  const version = [reader.int32('version'), reader.int32('version'), reader.int32('version')];
  if (version[0] !== 4) {
    throw new UnsupportedModel(
      `Treelite ${version.join('.')} wrote the checkpoint; those of 4.x are supported. Load it with Treelite 4 and serialize it again.`,
    );
  }
  const dtype = TYPES[reader.uint8('threshold_type')];
  if (!dtype || TYPES[reader.uint8('leaf_output_type')] !== dtype) {
    throw new UnsupportedModel(
      'A Treelite model must have thresholds and leaves of float32 or float64.',
    );
  }
  const trees = reader.count64('num_tree', 1);
  if (trees > MOST.trees) reader.fail(`num_tree is ${trees}`);
  const features = reader.int32('num_feature');
  const task = TASKS[reader.uint8('task_type')] ?? reader.fail('task_type is unknown');
  const averaged = reader.uint8('average_tree_output') !== 0;
  const targets = reader.int32('num_target');
  const classes = Array.from(reader.int32Array('num_class'));
  const [rows = 0, columns = 0, ...more] = reader.int32Array('leaf_vector_shape');
  if (more.length > 0) reader.fail('leaf_vector_shape must have two numbers');
  const treeTargets = reader.int32Array('target_id');
  const treeClasses = reader.int32Array('class_id');
  const postprocessor = reader.text64('postprocessor');
  const sigmoidAlpha = reader.float32('sigmoid_alpha');
  const ratio = reader.float32('ratio_c');
  const baseScores = Array.from(reader.float64Array('base_scores'));
  reader.text64('attributes');
  reader.noExtension();
  const read = Array.from({ length: trees }, (_, i) => readTree(reader, `tree ${i}`, dtype));
  reader.end();
  const classifier = task === 'kBinaryClf' || task === 'kMultiClf';
  return {
    dtype,
    features,
    classifier,
    averaged,
    targets,
    classes,
    leafShape: [rows, columns],
    treeTargets,
    treeClasses,
    postprocessor,
    sigmoidAlpha,
    ratio,
    baseScores,
    trees: read,
  };
}

/** Arrays with their length in 8 bytes in front. */
class CheckpointReader extends ByteReader {
  int32Array(what: string): Int32Array {
    return this.int32s(this.count64(what, 4), what);
  }

  uint32Array(what: string): Uint32Array {
    return this.uint32s(this.count64(what, 4), what);
  }

  uint64Array(what: string): Float64Array {
    return this.uint64s(this.count64(what, 8), what);
  }

  byteArray(what: string): Uint8Array {
    return this.view8(this.count64(what, 1), what);
  }

  float64Array(what: string): Float64Array {
    return this.float64s(this.count64(what, 8), what);
  }

  floatArray(dtype: 'FP32' | 'FP64', what: string): Float32Array | Float64Array {
    return dtype === 'FP64' ? this.float64Array(what) : this.float32s(this.count64(what, 4), what);
  }

  noExtension(): void {
    const fields = this.int32('the number of further fields');
    if (fields !== 0) {
      throw new UnsupportedModel(
        `The Treelite checkpoint has ${fields} fields that are not known here; those of 4.x have none.`,
      );
    }
  }
}

/** Arrays are read in the order in which they lie. */
function readTree(reader: CheckpointReader, what: string, dtype: 'FP32' | 'FP64'): TreeliteTree {
  const nodes = reader.int32(`${what}: num_nodes`);
  reader.uint8(`${what}: has_categorical_split`);
  const at = (name: string) => `${what}: ${name}`;
  const tree = {
    type: reader.byteArray(at('node_type')),
    left: reader.int32Array(at('cleft')),
    right: reader.int32Array(at('cright')),
    feature: reader.int32Array(at('split_index')),
    defaultLeft: reader.byteArray(at('default_left')),
    leaf: reader.floatArray(dtype, at('leaf_value')),
    threshold: reader.floatArray(dtype, at('threshold')),
    operator: reader.byteArray(at('cmp')),
    matchGoesRight: reader.byteArray(at('category_list_right_child')),
    vector: reader.floatArray(dtype, at('leaf_vector')),
    vectorBegin: reader.uint64Array(at('leaf_vector_begin')),
    vectorEnd: reader.uint64Array(at('leaf_vector_end')),
    categories: reader.uint32Array(at('category_list')),
    categoriesBegin: reader.uint64Array(at('category_list_begin')),
    categoriesEnd: reader.uint64Array(at('category_list_end')),
  };
  for (const name of ['data_count', 'sum_hess', 'gain']) {
    reader.uint64Array(at(name));
    reader.byteArray(at(`${name}_present`));
  }
  reader.noExtension();
  reader.noExtension();
  const whole: ArrayLike<number>[] = [tree.vector, tree.categories];
  const each = Object.values<ArrayLike<number>>(tree).filter((array) => !whole.includes(array));
  if (nodes < 1 || each.some((array) => array.length !== nodes)) {
    reader.fail(`${what} must have ${nodes} items in each of its arrays`);
  }
  return { nodes, read: (node) => nodeOf(reader, tree, node, what) };
}

type Arrays = Record<
  | 'type'
  | 'left'
  | 'right'
  | 'feature'
  | 'defaultLeft'
  | 'leaf'
  | 'threshold'
  | 'operator'
  | 'matchGoesRight',
  ArrayLike<number>
> &
  Record<
    'vector' | 'vectorBegin' | 'vectorEnd' | 'categories' | 'categoriesBegin' | 'categoriesEnd',
    ArrayLike<number>
  >;

function nodeOf(reader: ByteReader, tree: Arrays, node: number, what: string): TreeliteNode {
  const slice = (list: ArrayLike<number>, begin = 0, end = 0): number[] => {
    if (!(begin >= 0 && begin <= end && end <= list.length)) {
      reader.fail(`${what}, node ${node} points outside of a list`);
    }
    return Array.from({ length: end - begin }, (_, i) => list[begin + i] ?? NaN);
  };
  if (tree.left[node] === -1) {
    const values = slice(tree.vector, tree.vectorBegin[node], tree.vectorEnd[node]);
    return { values: values.length > 0 ? values : [tree.leaf[node] ?? NaN] };
  }
  const children = {
    feature: tree.feature[node] ?? -1,
    left: tree.left[node] ?? -1,
    right: tree.right[node] ?? -1,
    defaultLeft: tree.defaultLeft[node] !== 0,
  };
  if (tree.type[node] === 2) {
    const categories = slice(tree.categories, tree.categoriesBegin[node], tree.categoriesEnd[node]);
    return { ...children, categories, matchGoesRight: tree.matchGoesRight[node] !== 0 };
  }
  const operator = OPERATORS[tree.operator[node] ?? 0];
  if (tree.type[node] !== 1 || !operator) {
    throw new UnsupportedModel(
      `${what}, node ${node} of the Treelite model has type ${tree.type[node]} and operator ${tree.operator[node]}, which are not supported.`,
    );
  }
  return { ...children, operator, threshold: tree.threshold[node] ?? NaN };
}
