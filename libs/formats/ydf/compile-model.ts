import { COLUMN_PREFIX, NodeFlag, type Binding, type DType, type TensorSpec } from '#program';
import { canNameInputs } from '../column-names.js';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import { DamagedModel, UnsupportedModel, type Verdict } from '../importer.js';
import { ProgramBuilder } from '../program-builder.js';
import { ObliqueColumns } from './oblique-columns.js';
import { outputsOf, type YdfOutputs } from './outputs.js';
import type { PlacedNode } from './read-nodes.js';
import type { YdfColumn, YdfForestHeader, YdfHeader } from './ydf-messages.js';

export interface YdfModel {
  header: YdfHeader;
  columns: YdfColumn[];
  forest: YdfForestHeader;
  trees: PlacedNode[][];
}

/** `ColumnType` of `data_spec.proto`. */
const ColumnType = { numerical: 1, categorical: 4, boolean: 7, discretized: 9 } as const;

const COLUMN_TYPES = [
  'UNKNOWN',
  'NUMERICAL',
  'NUMERICAL_SET',
  'NUMERICAL_LIST',
  'CATEGORICAL',
  'CATEGORICAL_SET',
  'CATEGORICAL_LIST',
  'BOOLEAN',
  'STRING',
  'DISCRETIZED_NUMERICAL',
  'HASH',
  'NUMERICAL_VECTOR_SEQUENCE',
];

/** Compiles a model. Throws UnsupportedModel and DamagedModel. */
export function compileModel(model: YdfModel, importer: string): Verdict {
  const { header, forest } = model;
  if (header.postprocessors > 0) {
    throw new UnsupportedModel('Postprocessors of YDF models (header.pb) are not supported.');
  }
  const outputs = outputsOf(model);
  const builder = new ProgramBuilder();
  const table = bindColumns(builder, model);
  const oblique = new ObliqueColumns(table.places);
  const trees = model.trees.map((nodes, i) => ({
    name: `tree ${i}`,
    nodes: nodes.length,
    read: treeReader(nodes, i, { model, places: table.places, oblique, outputs }),
    column: outputs.leafWidth === 1 ? i % outputs.columns : 0,
  }));
  // Oblique tests become columns, and how many there are is known once all nodes were read.
  for (const { nodes, read } of trees) for (let i = 0; i < nodes; i++) read(i);
  const rows = oblique.add(builder, builder.kernel('cast', [table.rows], FP32));
  const packed = new ForestBuilder(
    {
      features: table.places.size + oblique.count,
      columns: outputs.columns,
      comparison: '<',
      inputDtype: 'FP32',
      sumDtype: 'FP32',
      category: 'non-negative',
    },
    outputs.leafWidth,
  );
  for (const tree of trees) packed.addTree(tree);
  const { scores, leaf } = builder.forest(rows, packed.build(builder.weights, outputs.base));
  outputs.add(builder, scores);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, forest.trees] }, leaf);
  const { program, weights } = builder.finish({
    importer,
    format: 'ydf',
    inputs: table.inputs,
    binding: table.binding,
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

const FP32 = { attributes: { dtype: 'FP32' } };

interface Table {
  inputs: TensorSpec[];
  binding: Binding;
  /** The value that holds all columns. */
  rows: string;
  /** Of a column of the data specification: its place in the table. */
  places: Map<number, number>;
}

/** A text that is in no dictionary is category 0; no text and the empty one are missing. Categories may be integers, too. */
function bindColumns(builder: ProgramBuilder, { header, columns }: YdfModel): Table {
  const features = header.features.map((index) => {
    const column = columns[index];
    return column ?? fail(`There is no column ${index}, which is a feature.`);
  });
  const names = features.map((column) => column.name);
  if (!canNameInputs(names)) fail('The names of the features are empty, too long or not unique.');
  const places = new Map(header.features.map((index, place) => [index, place]));
  if (places.size !== features.length) fail('A feature is listed twice.');
  const inputs = features.map((column): TensorSpec => {
    const dtype: DType = isText(column) ? 'BYTES' : 'FP64';
    return { name: column.name, dtype, shape: [-1] };
  });
  if (!features.some((column) => isText(column) || column.integerized)) {
    const binding: Binding = { kind: 'table', matrix: { dtype: 'FP64', columns: inputs.length } };
    return { inputs, binding, rows: 'X', places };
  }
  const values = features.map((column) => {
    const value = `${COLUMN_PREFIX}${column.name}`;
    if (column.integerized && column.type === ColumnType.categorical) {
      const attributes = { values: column.values, column: column.name };
      return builder.kernel('integer-categories', [value], { attributes });
    }
    if (!isText(column)) return value;
    const attributes = {
      levels: levelsOf(column),
      unseen: 'first',
      missing: [''],
      column: column.name,
      dtype: 'FP64',
    };
    return builder.kernel('text-codes', [value], { attributes });
  });
  const rows = builder.kernel('join-columns', values);
  return { inputs, binding: { kind: 'table' }, rows, places };
}

function fail(message: string): never {
  throw new DamagedModel(message);
}

/** Whether a feature is a text. One that cannot be served is refused by name. */
function isText(column: YdfColumn): boolean {
  const { type, name } = column;
  if (type === ColumnType.categorical) return !column.integerized;
  if (
    type === ColumnType.numerical ||
    type === ColumnType.boolean ||
    type === ColumnType.discretized
  )
    return false;
  throw new UnsupportedModel(
    `The feature "${name.slice(0, 100)}" is of type ${COLUMN_TYPES[type] ?? type} of YDF, which is not supported.`,
  );
}

function levelsOf({ vocabulary, values, name }: YdfColumn): string[] {
  const levels = Array.from(vocabulary, (level: string | undefined) => level);
  const known = levels.filter((level) => level !== undefined);
  if (known.length !== levels.length || levels.length !== values || new Set(known).size !== values)
    fail(`The dictionary of the feature "${name.slice(0, 100)}" has gaps or doublets.`);
  return known;
}

interface Context {
  model: YdfModel;
  places: Map<number, number>;
  oblique: ObliqueColumns;
  outputs: YdfOutputs;
}

function treeReader(
  nodes: PlacedNode[],
  tree: number,
  context: Context,
): (node: number) => TreeNode {
  const numbers = leafNumbers(nodes);
  return (number) => {
    const node = nodes[number];
    if (!node) return fail(`tree ${tree} has no node ${number}`);
    const what = `tree ${tree}, node ${number}`;
    if (node.condition) return readTest(node, what, context);
    return { values: context.outputs.leaf(node, what), number: numbers[number] ?? 0 };
  };
}

/** Leaves count from 0 in the order in which the nodes lie. */
function leafNumbers(nodes: PlacedNode[]): Int32Array {
  let leaves = 0;
  return Int32Array.from(nodes, (node) => (node.condition ? -1 : leaves++));
}

/** Comparisons ask for less, which leads to the negative child; members of a set go to the positive one. */
function readTest(node: PlacedNode, what: string, { model, places, oblique }: Context): TreeNode {
  const { condition, negative, positive } = node;
  if (!condition) return fail(`${what} has no test`);
  const { test, attribute, missing } = condition;
  const column = model.columns[attribute];
  const feature = places.get(attribute);
  if (!column || feature === undefined)
    return fail(`${what} tests column ${attribute}, no feature`);
  const expect = (...types: number[]): void => {
    if (!types.includes(column.type)) fail(`${what}: the test does not fit column ${attribute}`);
  };
  const compare = (threshold: number, place = feature): TreeNode => ({
    feature: place,
    threshold,
    left: negative,
    right: positive,
    flags: missing ? 0 : NodeFlag.missingLeft,
  });
  switch (test.kind) {
    case 'higher':
      expect(ColumnType.numerical);
      return compare(test.threshold);
    case 'true':
      expect(ColumnType.boolean);
      return compare(0.5);
    case 'discretized':
      expect(ColumnType.discretized);
      return compare(thresholdOf(test.threshold, column, what));
    case 'missing':
      // Nothing that is there is more than infinity, or infinite itself in YDF.
      return { ...compare(Infinity), flags: 0 };
    case 'in': {
      expect(ColumnType.categorical);
      const set = test.elements.filter((element) => element >= 0 && element < column.values);
      const flags = missing ? NodeFlag.missingLeft : 0;
      return { feature, set, left: positive, right: negative, flags };
    }
    case 'oblique':
      expect(ColumnType.numerical);
      return compare(test.threshold, oblique.place(test, model.columns, what));
  }
}

/** A discretized value is how many boundaries it reaches. */
function thresholdOf(threshold: number, { boundaries }: YdfColumn, what: string): number {
  if (threshold === 0) return -Infinity;
  return boundaries[threshold - 1] ?? fail(`${what}: there is no boundary ${threshold - 1}`);
}
