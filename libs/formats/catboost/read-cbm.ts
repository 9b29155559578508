import { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { FlatBuffer, type FlatTable } from './flatbuffer.js';
import { readModelInfo } from './model-info.js';
import {
  CTR_TYPES,
  type BranchingNode,
  type BranchingTree,
  type CatboostModel,
  type CategoricalFeature,
  type CtrBase,
  type CtrFeature,
  type CtrTable,
  type FloatFeature,
  type ObliviousTree,
} from './model.js';
import { MOST_DEPTH, refuseKind } from './read-json.js';

/** What a cbm begins with. */
export const MAGIC = 'CBM1';
/** CatBoost's own spelling. */
const FORMAT = 'FlabuffersModel_v1';
const CTR_PART = 'static_provider_v1';
const MOST_FEATURES = 100_000;
const MOST_DIMENSIONS = 100_000;

/** Fields by their numbers in CatBoost's model.fbs, features.fbs and ctr_data.fbs (0.2 to 1.2). */
const CORE = { version: 0, trees: 1, info: 2, parts: 3 };
const TREES = {
  dimensions: 0,
  splits: 1,
  sizes: 2,
  starts: 3,
  categories: 4,
  floats: 5,
  oneHots: 6,
  ctrs: 7,
  leaves: 8,
  steps: 10,
  leafIds: 11,
  texts: 12,
  estimated: 13,
  scale: 14,
  bias: 15,
  biases: 16,
  embeddings: 18,
};
const FLOAT = { hasNans: 0, index: 1, column: 2, borders: 3, name: 4, treatment: 5 };
const CATEGORY = { index: 0, column: 1, name: 2 };
const AS_TRUE = 2;

/** Reads what `save_model` writes: one FlatBuffer, and another for each table of target statistics. */
export function readCbm(bytes: Uint8Array): CatboostModel {
  const parts = new Parts(bytes);
  const core = new FlatBuffer(parts.next('model'), 'model').root();
  const version = core.text(CORE.version, 'FormatVersion');
  if (version !== FORMAT) {
    throw new UnsupportedModel(
      `The format "${(version ?? '').slice(0, 40)}" of CatBoost's cbm is not supported; ${FORMAT} is.`,
    );
  }
  const trees = core.table(CORE.trees, 'ModelTrees');
  const refused = [
    ['text features', TREES.texts],
    ['embedding features', TREES.embeddings],
    ['estimated features', TREES.estimated],
  ] as const;
  for (const [kind, field] of refused) if (trees.count(field, kind) > 0) refuseKind(kind);
  const dimensions = trees.int32(TREES.dimensions, 0);
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
    trees.damaged(`ApproxDimension must be from 1 to ${MOST_DIMENSIONS}, is ${dimensions}`);
  }
  return {
    dimensions,
    floats: trees.tables(TREES.floats, 'FloatFeatures').map(readFloat),
    categories: trees.tables(TREES.categories, 'CatFeatures').map(readCategory),
    oneHots: trees.tables(TREES.oneHots, 'OneHotFeatures').map((feature) => ({
      feature: indexOf(feature, 0, 'Index'),
      values: feature.int32s(1, 'Values'),
    })),
    ctrs: trees.tables(TREES.ctrs, 'CtrFeatures').map(readCtr),
    tables: readTables(core.texts(CORE.parts, 'ModelPartIds'), parts),
    trees: readTrees(trees, dimensions),
    scale: trees.float64(TREES.scale, 1),
    bias: readBias(trees, dimensions),
    info: readModelInfo(infoOf(core), dimensions),
  };
}

/** The file behind its first four bytes: parts, each with its length in front. */
class Parts {
  private readonly view: DataView;
  private at = MAGIC.length;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A number of 4 bytes, or of 8 where these are all ones. */
  size(name: string): number {
    const at = this.take(4, name);
    const size = this.view.getUint32(at, true);
    return size === 0xffff_ffff ? Number(this.view.getBigUint64(this.take(8, name), true)) : size;
  }

  next(name: string): Uint8Array {
    const size = this.size(name);
    const at = this.take(size, name);
    return this.bytes.subarray(at, at + size);
  }

  private take(length: number, name: string): number {
    const { at } = this;
    if (at + length > this.bytes.byteLength) {
      throw new DamagedModel(
        `The file ends at byte ${this.bytes.byteLength}, inside of ${name}, which goes up to ${at + length}.`,
      );
    }
    this.at += length;
    return at;
  }
}

function infoOf(core: FlatTable): Part {
  const pairs = core.tables(CORE.info, 'InfoMap').map((pair): [string, string] => {
    const [key, value] = [pair.text(0, 'Key'), pair.text(1, 'Value')];
    return key === undefined || value === undefined
      ? pair.damaged('must have a key and a value')
      : [key, value];
  });
  return new Part(Object.fromEntries(pairs), `${core.path}.InfoMap`);
}

function indexOf(table: FlatTable, field: number, name: string): number {
  const index = table.int32(field, -1);
  return index >= 0 && index <= MOST_FEATURES
    ? index
    : table.damaged(`${name} must be from 0 to ${MOST_FEATURES}, is ${index}`);
}

function readCategory(feature: FlatTable): CategoricalFeature {
  return {
    index: indexOf(feature, CATEGORY.index, 'Index'),
    column: indexOf(feature, CATEGORY.column, 'FlatIndex'),
    name: feature.text(CATEGORY.name, 'FeatureId') ?? '',
  };
}

function readFloat(feature: FlatTable): FloatFeature {
  const treatment = feature.int8(FLOAT.treatment, 0);
  if (treatment < 0 || treatment > AS_TRUE) {
    throw new UnsupportedModel(
      `${feature.path}: the NanValueTreatment ${treatment} is not supported.`,
    );
  }
  return {
    index: indexOf(feature, FLOAT.index, 'Index'),
    column: indexOf(feature, FLOAT.column, 'FlatIndex'),
    name: feature.text(FLOAT.name, 'FeatureId') ?? '',
    borders: feature.float32s(FLOAT.borders, 'Borders'),
    missingIsGreatest: treatment === AS_TRUE && feature.int8(FLOAT.hasNans, 0) !== 0,
  };
}

function readBase(base: FlatTable): CtrBase {
  const type = CTR_TYPES[base.int8(1, 0)];
  if (!type) {
    throw new UnsupportedModel(`${base.path}: the CtrType ${base.int8(1, 0)} is not supported.`);
  }
  const combination = base.table(0, 'FeatureCombination');
  const floats = new DataView(combination.bytes(1, 'FloatSplits', 8).buffer);
  const oneHots = new DataView(combination.bytes(2, 'OneHotSplits', 8).buffer);
  return {
    type,
    classifier: base.int32(2, 0),
    projection: {
      categories: Array.from(combination.int32s(0, 'CatFeatures')),
      floats: Array.from({ length: floats.byteLength / 8 }, (_, i) => ({
        feature: floats.getInt32(8 * i, true),
        border: floats.getFloat32(8 * i + 4, true),
      })),
      oneHots: Array.from({ length: oneHots.byteLength / 8 }, (_, i) => ({
        feature: oneHots.getInt32(8 * i, true),
        value: oneHots.getInt32(8 * i + 4, true),
      })),
    },
  };
}

function readCtr(feature: FlatTable): CtrFeature {
  const ctr = feature.table(0, 'Ctr');
  return {
    ...readBase(ctr.table(0, 'Base')),
    targetBorder: ctr.int32(1, 0),
    priorNumerator: ctr.float32(2, 0),
    priorDenominator: ctr.float32(3, 1),
    shift: ctr.float32(4, 0),
    scale: ctr.float32(5, 1),
    borders: feature.float32s(1, 'Borders'),
  };
}

function readTables(ids: string[], parts: Parts): CtrTable[] {
  const tables: CtrTable[] = [];
  for (const id of ids) {
    if (id !== CTR_PART) {
      throw new UnsupportedModel(`The part "${id.slice(0, 40)}" of the model is not supported.`);
    }
    const count = parts.size('the number of tables');
    for (let i = 0; i < count; i++) {
      const name = `table ${i}`;
      tables.push(readTable(new FlatBuffer(parts.next(name), name).root()));
    }
  }
  return tables;
}

const BUCKET = 12;
const EMPTY = 0xffff_ffff;

function readTable(table: FlatTable): CtrTable {
  const base = readBase(table.table(0, 'ModelCtrBase'));
  const buckets = table.bytes(1, 'IndexHashRaw', 1);
  const blob = table.bytes(2, 'CTRBlob', 1);
  const classes = table.int32(4, 0);
  if (buckets.byteLength % BUCKET !== 0 || blob.byteLength % 4 !== 0) {
    table.damaged('IndexHashRaw or CTRBlob has a part of a number');
  }
  const isMean = base.type === 'BinarizedTargetMeanValue' || base.type === 'FloatTargetMeanValue';
  const isCount = base.type === 'Counter' || base.type === 'FeatureFreq';
  const width = isMean ? 2 : isCount ? 1 : classes;
  if (width < 1 || width > MOST_DIMENSIONS) table.damaged(`has ${width} target classes`);
  const counts = new Int32Array(blob.buffer);
  const sums = new Float32Array(blob.buffer);
  const view = new DataView(buckets.buffer);
  const low: number[] = [];
  const high: number[] = [];
  const numbers: number[] = [];
  for (let at = 0; at < buckets.byteLength; at += BUCKET) {
    const [lower, upper] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if (lower === EMPTY && upper === EMPTY) continue;
    const index = view.getUint32(at + 8, true);
    if ((index + 1) * width > counts.length) table.damaged(`CTRBlob has no entry ${index}`);
    low.push(lower);
    high.push(upper);
    for (let i = index * width; i < (index + 1) * width; i++) {
      numbers.push((isMean && i % 2 === 0 ? sums[i] : counts[i]) ?? 0);
    }
    if (numbers.length > counts.length + width) table.damaged('hashes share entries');
  }
  return {
    ...base,
    hashes: { low: Uint32Array.from(low), high: Uint32Array.from(high) },
    numbers: Float64Array.from(numbers),
    width,
    denominator: table.int32(3, 0),
  };
}

function readBias(trees: FlatTable, dimensions: number): number[] {
  const biases = Array.from(trees.float64s(TREES.biases, 'MultiBias'));
  const bias = trees.float64(TREES.bias, 0);
  if (biases.length === 0 && (dimensions === 1 || bias === 0)) {
    return Array.from({ length: dimensions }, () => bias);
  }
  return biases.length === dimensions
    ? biases
    : trees.damaged(`has ${biases.length} biases for ${dimensions} columns`);
}

function readTrees(table: FlatTable, dimensions: number): CatboostModel['trees'] {
  const splits = table.int32s(TREES.splits, 'TreeSplits');
  const sizes = table.int32s(TREES.sizes, 'TreeSizes');
  const leaves = table.float64s(TREES.leaves, 'LeafValues');
  if (sizes.length === 0) {
    throw new UnsupportedModel('The model has no trees, which is not supported.');
  }
  if (table.count(TREES.steps, 'NonSymmetricStepNodes') > 0) {
    return readBranching(table, { splits, sizes, leaves, dimensions });
  }
  const trees: ObliviousTree[] = [];
  let [split, leaf] = [0, 0];
  for (const [i, depth] of sizes.entries()) {
    if (depth < 0) table.damaged(`TreeSizes[${i}] is ${depth}`);
    if (depth > MOST_DEPTH) {
      throw new UnsupportedModel(
        `Tree ${i} is ${depth} deep; oblivious trees up to ${MOST_DEPTH} are supported.`,
      );
    }
    const end = leaf + 2 ** depth * dimensions;
    if (split + depth > splits.length || end > leaves.length) {
      table.damaged(`TreeSplits or LeafValues ends before tree ${i} does`);
    }
    trees.push({
      splits: splits.subarray(split, split + depth),
      leaves: leaves.subarray(leaf, end),
    });
    split += depth;
    leaf = end;
  }
  return trees;
}

interface FlatTrees {
  splits: Int32Array;
  sizes: Int32Array;
  leaves: Float64Array;
  dimensions: number;
}

/** Each node says how far its children are behind it; 0 is no child, and a way without one ends at the node's own values. */
function readBranching(table: FlatTable, trees: FlatTrees): BranchingTree[] {
  const steps = new Uint16Array(table.bytes(TREES.steps, 'NonSymmetricStepNodes', 4).buffer);
  const leafIds = table.uint32s(TREES.leafIds, 'NonSymmetricNodeIdToLeafId');
  const starts = table.int32s(TREES.starts, 'TreeStartOffsets');
  const { splits, sizes } = trees;
  if (steps.length !== 2 * splits.length || leafIds.length !== splits.length) {
    table.damaged(
      'NonSymmetricStepNodes, NonSymmetricNodeIdToLeafId and TreeSplits differ in length',
    );
  }
  if (starts.length !== sizes.length) table.damaged('TreeStartOffsets has another length');
  let next = 0;
  return Array.from(sizes, (size, i) => {
    if (starts[i] !== next || size < 1 || next + size > splits.length) {
      table.damaged(`tree ${i} does not begin where the one before it ends`);
    }
    const tree = readNodes(table, trees, { steps, leafIds, start: next, size });
    next += size;
    return tree;
  });
}

interface NodeRange {
  steps: Uint16Array;
  leafIds: Uint32Array;
  start: number;
  size: number;
}

function readNodes(
  table: FlatTable,
  { splits, leaves, dimensions }: FlatTrees,
  { steps, leafIds, start, size }: NodeRange,
): BranchingTree {
  const ids = leafIds.subarray(start, start + size);
  const first = ids.reduce((least, id) => Math.min(least, id), EMPTY);
  const leafOf = (node: number): BranchingNode => {
    const id = ids[node] ?? EMPTY;
    const number = (id - first) / dimensions;
    if (id + dimensions > leaves.length || !Number.isInteger(number)) {
      table.damaged(`node ${start + node} has no values ${id}`);
    }
    return { values: leaves.subarray(id, id + dimensions), number };
  };
  const nodes: BranchingNode[] = [];
  const extra: BranchingNode[] = [];
  for (let node = 0; node < size; node++) {
    const at = 2 * (start + node);
    const [left = 0, right = 0] = steps.subarray(at, at + 2);
    if (left === 0 && right === 0) {
      nodes.push(leafOf(node));
      continue;
    }
    const childOf = (step: number) => {
      if (step !== 0) return node + step;
      extra.push(leafOf(node));
      return size + extra.length - 1;
    };
    nodes.push({ split: splits[start + node] ?? -1, left: childOf(left), right: childOf(right) });
  }
  return { nodes: [...nodes, ...extra] };
}
