import { ByteReader } from '../byte-reader.js';
import { UnsupportedModel } from '../importer.js';

/** Bytes of the structures that XGBoost wrote as they lay in memory (0.4 to 2.1). */
const LEARNER_BYTES = 136;
const FOREST_BYTES = 160;
const TREE_BYTES = 148;
const NODE_BYTES = 20;
const STATISTICS_BYTES = 16;
const LINEAR_BYTES = 136;

const MAGIC = 'binf';
const MOST_NAME = 64;
const BOOSTERS = ['gbtree', 'dart', 'gblinear'];

/** Whether the first bytes of a file are those of the binary format, which may or may not begin with `binf`. */
export function isBinaryModel(head: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(head.subarray(0, LEARNER_BYTES + 256));
  if (text.startsWith(MAGIC)) return true;
  const objective = nameAt(head, text, LEARNER_BYTES);
  if (objective === undefined || !/^[a-z]+:[a-z0-9_]+$/i.test(objective)) return false;
  const booster = nameAt(head, text, LEARNER_BYTES + 8 + objective.length);
  return booster !== undefined && BOOSTERS.includes(booster);
}

/** A text with its length in 8 bytes in front. */
function nameAt(head: Uint8Array, text: string, at: number): string | undefined {
  if (head.length < at + 8) return undefined;
  const length = new DataView(head.buffer, head.byteOffset + at, 8).getBigUint64(0, true);
  return length > 0n && length <= BigInt(MOST_NAME)
    ? text.slice(at + 8, at + 8 + Number(length))
    : undefined;
}

/**
 * Reads XGBoost's old binary format (`LearnerIO::SaveModel`, `GBTreeModel::Save` and `RegTree::Save` of 0.90, 1.7 and 2.1) to the
 * document that the same model would be in JSON. What 0.x wrote has the version 0.0. Throws DamagedModel and
 * UnsupportedModel.
 */
export function readBinary(bytes: Uint8Array): unknown {
  const reader = new ByteReader(bytes, 'XGBoost binary model');
  if (new TextDecoder('latin1').decode(bytes.subarray(0, 4)) === MAGIC) reader.skip(4, 'binf');
  const learner = readLearner(reader);
  const objective = reader.text64('the objective');
  const name = reader.text64('the booster');
  const gradientBooster = readBooster(reader, name, learner);
  if (learner.hasAttributes) skipPairs(reader);
  // Before 1.0 the parameter of this objective followed.
  if (learner.version[0] === 0 && objective === 'count:poisson') reader.text64('max_delta_step');
  // 1.0 says that there are metrics and may write none.
  if (learner.hasMetrics && reader.left > 0) skipTexts(reader);
  reader.end();
  const { parameters, version } = learner;
  return {
    version,
    learner: {
      learner_model_param: parameters,
      objective: { name: objective },
      gradient_booster: gradientBooster,
    },
  };
}

type Learner = ReturnType<typeof readLearner>;

function readLearner(reader: ByteReader) {
  const baseScore = reader.float32('base_score');
  const features = reader.uint32('num_feature');
  const classes = reader.int32('num_class');
  const hasAttributes = reader.int32('contain_extra_attrs') !== 0;
  const hasMetrics = reader.int32('contain_eval_metrics') !== 0;
  const version = [reader.uint32('major_version'), reader.uint32('minor_version')];
  // Since 1.6; a reserved field, and 0, before.
  const targets = Math.max(reader.int32('num_target'), 1);
  reader.skip(LEARNER_BYTES - 32, 'learner_model_param');
  if (Number.isNaN(baseScore)) reader.fail('base_score is not a number');
  return {
    version,
    hasAttributes,
    hasMetrics,
    columns: Math.max(classes, targets, 1),
    parameters: {
      base_score: baseScore,
      num_feature: features,
      num_class: classes,
      num_target: targets,
    },
  };
}

function readBooster(reader: ByteReader, name: string, learner: Learner): object {
  switch (name) {
    case 'gbtree':
      return { name, model: readForest(reader, learner) };
    case 'dart': {
      const model = readForest(reader, learner);
      const trees = model.trees.length;
      const weights =
        trees === 0 ? [] : reader.float32s(reader.count64('weight_drop', 4), 'weight_drop');
      return { name, gbtree: { model }, weight_drop: weights };
    }
    case 'gblinear': {
      reader.skip(LINEAR_BYTES, 'the parameters of gblinear');
      return { name, model: { weights: reader.float32s(reader.count64('weights', 4), 'weights') } };
    }
    default:
      throw new UnsupportedModel(`The booster "${name.slice(0, 40)}" of XGBoost is not supported.`);
  }
}

function readForest(reader: ByteReader, { columns, version: [major = 0] }: Learner) {
  const trees = reader.int32('num_trees');
  if (trees < 0) reader.fail(`num_trees is ${trees}`);
  reader.skip(20, 'the parameters of gbtree');
  const groups = reader.int32('num_output_group');
  reader.skip(FOREST_BYTES - 28, 'the parameters of gbtree');
  // 1.x writes 0.
  if (groups !== columns && groups !== 0) {
    reader.fail(`num_output_group is ${groups} where the model has ${columns} columns`);
  }
  if (trees * (TREE_BYTES + NODE_BYTES + STATISTICS_BYTES + 4) > reader.left) {
    reader.fail(`num_trees is ${trees}, which the file is too short for`);
  }
  const read = Array.from({ length: trees }, (_, i) => readTree(reader, `tree ${i}`, major));
  return { trees: read, tree_info: reader.int32s(trees, 'tree_info') };
}

function readTree(reader: ByteReader, what: string, major: number) {
  const roots = reader.int32(`${what}: num_roots`);
  const nodes = reader.int32(`${what}: num_nodes`);
  reader.skip(12, what);
  const width = reader.int32(`${what}: size_leaf_vector`);
  reader.skip(TREE_BYTES - 24, what);
  if (roots !== 1 || width > 1) {
    throw new UnsupportedModel(
      `${what} of the XGBoost binary model has ${roots} roots and leaves of ${width} numbers; trees with one root and one number a leaf are supported.`,
    );
  }
  if (nodes < 1 || width < 0) reader.fail(`${what} has ${nodes} nodes`);
  const block = reader.view8(nodes * NODE_BYTES, `${what}: nodes`);
  reader.skip(nodes * STATISTICS_BYTES, `${what}: statistics`);
  // Since 2.0 every tree says 1, and there is no such list.
  if (width === 1 && major < 2)
    reader.skip(4 * reader.count64(`${what}: leaf_vector`, 4), `${what}: leaf_vector`);
  return nodesOf(block, nodes);
}

/** A node: parent, left, right, the feature with a bit that says where missing values go, threshold or answer. */
function nodesOf(block: Uint8Array, nodes: number) {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const tree = {
    left_children: new Int32Array(nodes),
    right_children: new Int32Array(nodes),
    split_indices: new Int32Array(nodes),
    split_conditions: new Float32Array(nodes),
    default_left: new Uint8Array(nodes),
  };
  for (let node = 0; node < nodes; node++) {
    const at = node * NODE_BYTES;
    const split = view.getUint32(at + 12, true);
    tree.left_children[node] = view.getInt32(at + 4, true);
    tree.right_children[node] = view.getInt32(at + 8, true);
    tree.split_indices[node] = split & 0x7f_ff_ff_ff;
    tree.default_left[node] = split >>> 31;
    tree.split_conditions[node] = view.getFloat32(at + 16, true);
  }
  return tree;
}

function skipPairs(reader: ByteReader): void {
  const count = reader.count64('attributes', 16);
  for (let i = 0; i < 2 * count; i++)
    reader.skip(reader.count64('an attribute', 1), 'an attribute');
}

function skipTexts(reader: ByteReader): void {
  const count = reader.count64('metrics', 8);
  for (let i = 0; i < count; i++) reader.skip(reader.count64('a metric', 1), 'a metric');
}
