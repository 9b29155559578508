import type { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
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
  type ModelInfo,
  type ObliviousTree,
  type OneHotFeature,
  type Projection,
} from './model.js';

const MOST_FEATURES = 100_000;
const MOST_INDEX = 2 ** 31 - 1;
const MOST_DIMENSIONS = 100_000;
/** Of an oblivious tree; CatBoost grows up to 16. */
export const MOST_DEPTH = 16;
/** A bucket of a hash table that holds nothing. */
const EMPTY = 0xffff_ffff_ffff_ffffn;

/** Reads what `save_model(format='json')` writes. Throws DamagedModel and UnsupportedModel. */
export function readJson(model: Part): CatboostModel {
  const features = model.field('features_info');
  for (const kind of ['text_features', 'embedding_features', 'estimated_features']) {
    if (features.optional(kind)?.list().length) refuseKind(kind.replace('_', ' '));
  }
  const trees = model.has('trees')
    ? model.field('trees').list().map(readBranching)
    : model.field('oblivious_trees').list().map(readOblivious);
  const dimensions = dimensionsOf(trees);
  const { scale, bias } = readScaleAndBias(model.optional('scale_and_bias'), dimensions);
  const categories = listOf(features, 'categorical_features');
  const ctrs = listOf(features, 'ctrs').map(readCtr);
  const info = readModelInfo(model.field('model_info'), dimensions);
  if (ctrs.some(isOfTarget)) checkTargets(model.field('model_info'), info, dimensions);
  return {
    dimensions,
    floats: listOf(features, 'float_features').map(readFloat),
    categories: categories.map(readPlaced),
    oneHots: categories.flatMap(readOneHot),
    ctrs,
    tables: readTables(model.optional('ctr_data')),
    trees,
    scale,
    bias,
    info,
  };
}

export function refuseKind(kind: string): never {
  throw new UnsupportedModel(`The model has ${kind}, which are not supported.`);
}

/** A list that CatBoost writes as null where it is empty. */
function listOf(part: Part, name: string): Part[] {
  const list = part.optional(name);
  return list && list.value !== null ? list.list() : [];
}

function numbersOf(part: Part, name: string): Float32Array {
  const list = part.optional(name);
  return list && list.value !== null ? Float32Array.from(list.numbers()) : new Float32Array(0);
}

function readPlaced(feature: Part): CategoricalFeature {
  return {
    index: feature.field('feature_index').integer(0, MOST_FEATURES),
    column: feature.field('flat_feature_index').integer(0, MOST_FEATURES),
    name: (feature.optional('feature_name') ?? feature.optional('feature_id'))?.text() ?? '',
  };
}

function readFloat(feature: Part): FloatFeature {
  const treatment = feature.optional('nan_value_treatment')?.text() ?? 'AsIs';
  if (!['AsIs', 'AsFalse', 'AsTrue'].includes(treatment)) {
    throw new UnsupportedModel(
      `${feature.path}: the nan_value_treatment "${treatment.slice(0, 40)}" is not supported.`,
    );
  }
  return {
    ...readPlaced(feature),
    borders: numbersOf(feature, 'borders'),
    missingIsGreatest: treatment === 'AsTrue' && feature.optional('has_nans')?.value === true,
  };
}

function readOneHot(feature: Part): OneHotFeature[] {
  const values = feature.optional('values');
  if (!values || values.value === null) return [];
  const numbers = values.numbers();
  return [{ feature: readPlaced(feature).index, values: Int32Array.from(numbers) }];
}

function readCtr(ctr: Part): CtrFeature {
  const number = (name: string) => Math.fround(ctr.field(name).number());
  return {
    type: readType(ctr.field('ctr_type')),
    classifier: 0,
    projection: readProjection(ctr.field('elements')),
    targetBorder: ctr.field('target_border_idx').integer(0, MOST_INDEX),
    priorNumerator: number('prior_numerator'),
    priorDenominator: number('prior_denomerator'),
    shift: number('shift'),
    scale: number('scale'),
    borders: numbersOf(ctr, 'borders'),
  };
}

/** Losses whose scores have several columns for one target. */
const ONE_TARGET = ['MultiClass', 'MultiClassOneVsAll', 'RMSEWithUncertainty', 'MultiQuantile'];

function isOfTarget({ type }: CtrFeature): boolean {
  return type !== 'Counter' && type !== 'FeatureFreq';
}

/**
 * CatBoost's JSON leaves out which target, and which way of cutting it into classes, statistics are of. Where there are
 * several, CatBoost itself reads another model than it wrote.
 */
function checkTargets(info: Part, { loss }: ModelInfo, dimensions: number): void {
  const params = info.optional('params')?.optional('cat_feature_params');
  const groups = [params?.optional('simple_ctrs'), params?.optional('combinations_ctrs')];
  const several = groups.some((group) => hasSeveralCuts(group));
  if (several || (dimensions > 1 && (loss === undefined || !ONE_TARGET.includes(loss)))) {
    throw new UnsupportedModel(
      'The JSON of a CatBoost model with categorical features does not say which target their statistics are of, where there are several. Save the model as cbm.',
    );
  }
}

/** Whether statistics of one type are of the target cut in several ways. */
function hasSeveralCuts(group: Part | undefined): boolean {
  if (!group || !Array.isArray(group.value)) return false;
  const cuts = new Map<string, string>();
  return group.list().some((ctr) => {
    const type = ctr.optional('ctr_type')?.value;
    const cut = JSON.stringify(ctr.optional('target_binarization')?.value ?? null);
    const before = cuts.get(String(type)) ?? cut;
    cuts.set(String(type), cut);
    return before !== cut;
  });
}

function readType(part: Part): CtrBase['type'] {
  const text = part.text();
  const found = CTR_TYPES.find((type) => type === text);
  if (found) return found;
  throw new UnsupportedModel(`${part.path}: the type "${text.slice(0, 40)}" is not supported.`);
}

function readProjection(elements: Part): Projection {
  const projection: Projection = { categories: [], floats: [], oneHots: [] };
  for (const element of elements.list()) {
    const index = (name: string) => element.field(name).integer(0, MOST_FEATURES);
    const kind = element.field('combination_element').text();
    if (kind === 'cat_feature_value') {
      projection.categories.push(index('cat_feature_index'));
    } else if (kind === 'float_feature') {
      const border = Math.fround(element.field('border').number());
      projection.floats.push({ feature: index('float_feature_index'), border });
    } else if (kind === 'cat_feature_exact_value') {
      const value = element.field('value').integer(-MOST_INDEX - 1, MOST_INDEX);
      projection.oneHots.push({ feature: index('cat_feature_index'), value });
    } else {
      throw new UnsupportedModel(
        `${element.path}: the element "${kind.slice(0, 40)}" of a combination is not supported.`,
      );
    }
  }
  return projection;
}

/** Tables by the text of what they are of. */
function readTables(data: Part | undefined): CtrTable[] {
  if (!data || typeof data.value !== 'object' || data.value === null) return [];
  return Object.keys(data.value).map((key) => readTable(key, data.field(key)));
}

function readTable(key: string, table: Part): CtrTable {
  let base: unknown;
  try {
    base = JSON.parse(key);
  } catch {
    table.damaged('the name of a table must be JSON');
  }
  const named = table.as(base);
  const stride = table.field('hash_stride').integer(2, MOST_DIMENSIONS);
  const { value: map } = table.field('hash_map');
  if (!Array.isArray(map) || map.length % stride !== 0) {
    return table.damaged(`hash_map must be a list of ${stride} a hash`);
  }
  const hashes: bigint[] = [];
  const numbers: number[] = [];
  for (let at = 0; at < map.length; at += stride) {
    const hash = hashOf(map[at], table);
    if (hash === EMPTY) continue;
    hashes.push(hash);
    for (let i = at + 1; i < at + stride; i++) {
      const number: unknown = map[i];
      numbers.push(typeof number === 'number' ? number : table.damaged('hash_map has no number'));
    }
  }
  return {
    type: readType(named.field('type')),
    classifier: 0,
    projection: readProjection(named.field('identifier')),
    hashes: {
      low: Uint32Array.from(hashes, (hash) => Number(hash & 0xffff_ffffn)),
      high: Uint32Array.from(hashes, (hash) => Number(hash >> 32n)),
    },
    numbers: Float64Array.from(numbers),
    width: stride - 1,
    denominator: table.field('counter_denominator').integer(-MOST_INDEX, MOST_INDEX),
  };
}

function hashOf(value: unknown, table: Part): bigint {
  return typeof value === 'string' && /^\d{1,20}$/.test(value)
    ? BigInt(value)
    : table.damaged('hash_map must have a text of digits for each hash');
}

function readOblivious(tree: Part): ObliviousTree {
  const splits = listOf(tree, 'splits').map((split) =>
    split.field('split_index').integer(0, MOST_INDEX),
  );
  if (splits.length > MOST_DEPTH) {
    throw new UnsupportedModel(
      `${tree.path} is ${splits.length} deep; oblivious trees up to ${MOST_DEPTH} are supported.`,
    );
  }
  return { splits, leaves: Float64Array.from(tree.field('leaf_values').numbers()) };
}

/** Nodes and leaves are numbered from left to right, each before what is under it. */
function readBranching(tree: Part): BranchingTree {
  const nodes: BranchingNode[] = [];
  const waiting: { part: Part; parent: number; side: 'left' | 'right' }[] = [];
  let leaves = 0;
  for (
    let next: (typeof waiting)[number] | undefined = { part: tree, parent: -1, side: 'left' };
    next;
    next = waiting.pop()
  ) {
    const { part, parent, side } = next;
    const above = nodes[parent];
    if (above && 'split' in above) above[side] = nodes.length;
    if (!part.has('split')) {
      nodes.push({ values: valuesOf(part.field('value')), number: leaves });
      leaves += 1;
      continue;
    }
    const split = part.field('split').field('split_index').integer(0, MOST_INDEX);
    waiting.push({ part: part.field('right'), parent: nodes.length, side: 'right' });
    waiting.push({ part: part.field('left'), parent: nodes.length, side: 'left' });
    nodes.push({ split, left: -1, right: -1 });
  }
  return { nodes };
}

function valuesOf(value: Part): Float64Array {
  return Array.isArray(value.value)
    ? Float64Array.from(value.numbers())
    : Float64Array.of(value.number());
}

/** Numbers a leaf. */
function dimensionsOf(trees: (ObliviousTree | BranchingTree)[]): number {
  const [first] = trees;
  if (!first) throw new UnsupportedModel('The model has no trees, which is not supported.');
  const leaf = 'nodes' in first ? first.nodes.find((node) => 'values' in node) : undefined;
  const dimensions =
    'splits' in first
      ? first.leaves.length / 2 ** first.splits.length
      : leaf && 'values' in leaf
        ? leaf.values.length
        : 0;
  if (Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= MOST_DIMENSIONS)
    return dimensions;
  throw new DamagedModel(`The first tree has ${dimensions} numbers a leaf.`);
}

function readScaleAndBias(part: Part | undefined, dimensions: number) {
  if (!part) return { scale: 1, bias: Array.from({ length: dimensions }, () => 0) };
  const [scale, bias] = part.list();
  if (!scale || !bias) return part.damaged('must be a scale and a bias');
  const numbers = Array.isArray(bias.value) ? Array.from(bias.numbers()) : [bias.number()];
  if (numbers.length !== dimensions) {
    bias.damaged(`must have ${dimensions} numbers, has ${numbers.length}`);
  }
  return { scale: scale.number(), bias: numbers };
}
