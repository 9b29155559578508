import { UnsupportedModel } from '../importer.js';
import { WireReader, type ReadBudget } from '../protobuf.js';

/**
 * What the importer needs of the messages of Yggdrasil Decision Forests (`abstract_model.proto`, `data_spec.proto`,
 * `gradient_boosted_trees.proto`, `random_forest.proto`, `decision_tree.proto` of 0.16). Fields that are not read are skipped.
 */
export interface YdfHeader {
  name: string;
  task: number;
  label: number;
  features: number[];
  postprocessors: number;
}

export interface YdfColumn {
  name: string;
  type: number;
  /** Texts of a categorical column by their index. */
  vocabulary: string[];
  integerized: boolean;
  /** Values of a categorical column, with the one for all that are not in the vocabulary. */
  values: number;
  boundaries: Float32Array;
}

/** What the headers of forests say; a field that one of the two does not have keeps its default. */
export interface YdfForestHeader {
  shards: number;
  trees: number;
  loss: number;
  initial: number[];
  treesPerIteration: number;
  nodeFormat: string;
  outputLogits: boolean;
  winnerTakesAll: boolean;
  /** That each tree of an isolation forest was grown with. */
  examples: number;
}

export type YdfTest =
  | { kind: 'missing' }
  | { kind: 'higher'; threshold: number }
  | { kind: 'true' }
  | { kind: 'in'; elements: number[] }
  | { kind: 'discretized'; threshold: number }
  | {
      kind: 'oblique';
      attributes: number[];
      weights: number[];
      threshold: number;
      replacements: number[];
    };

export interface YdfNode {
  /** Absent in a leaf. */
  condition?: { missing: boolean; attribute: number; test: YdfTest };
  /** Of a class: its index, and how many of each were seen. */
  classifier?: { top: number; counts: number[]; sum: number };
  regressor?: { top: number };
  /** Of an isolation forest: how many examples reached the leaf. */
  anomaly?: { examples: number };
}

const FORMAT = 'YDF model';
const MOST_VALUES = 1_000_000;

function open(bytes: Uint8Array, what: string, budget: ReadBudget): WireReader {
  return WireReader.open(bytes, what, budget, FORMAT);
}

export function readHeader(bytes: Uint8Array, budget: ReadBudget): YdfHeader {
  const header: YdfHeader = { name: '', task: 0, label: -1, features: [], postprocessors: 0 };
  const reader = open(bytes, 'header.pb', budget);
  while (reader.next()) {
    if (reader.field === 1) header.name = reader.text();
    else if (reader.field === 2) header.task = reader.integer();
    else if (reader.field === 3) header.label = reader.integer();
    else if (reader.field === 5) header.features.push(...integers(reader));
    else if (reader.field === 16) {
      reader.skip();
      header.postprocessors += 1;
    } else reader.skip();
  }
  return header;
}

export function readDataSpec(bytes: Uint8Array, budget: ReadBudget): YdfColumn[] {
  const columns: YdfColumn[] = [];
  const reader = open(bytes, 'data_spec.pb', budget);
  while (reader.next()) {
    if (reader.field === 1) columns.push(readColumn(reader.message(`column ${columns.length}`)));
    else reader.skip();
  }
  return columns;
}

function readColumn(reader: WireReader): YdfColumn {
  const column: YdfColumn = {
    name: '',
    type: 0,
    vocabulary: [],
    integerized: false,
    values: 0,
    boundaries: new Float32Array(0),
  };
  while (reader.next()) {
    if (reader.field === 1) column.type = reader.integer();
    else if (reader.field === 2) column.name = reader.text();
    else if (reader.field === 6) readCategories(reader.message('the categories'), column);
    else if (reader.field === 8) {
      column.boundaries = readBoundaries(reader.message('the boundaries'));
    } else reader.skip();
  }
  return column;
}

function readCategories(reader: WireReader, column: YdfColumn): void {
  while (reader.next()) {
    if (reader.field === 2) column.values = reader.integer();
    else if (reader.field === 5) column.integerized = reader.integer() !== 0;
    else if (reader.field === 7) {
      const { key, index } = readItem(reader.message('a category'));
      if (index < 0 || index >= MOST_VALUES) reader.fail(`a category has the index ${index}`);
      if (column.vocabulary[index] !== undefined) reader.fail(`two categories have index ${index}`);
      column.vocabulary[index] = key;
    } else reader.skip();
  }
}

function readItem(reader: WireReader): { key: string; index: number } {
  let key = '';
  let index = 0;
  while (reader.next()) {
    if (reader.field === 1) key = reader.text();
    else if (reader.field === 2) {
      const value = reader.message('the index of a category');
      while (value.next()) {
        if (value.field === 1) index = value.integer();
        else value.skip();
      }
    } else reader.skip();
  }
  return { key, index };
}

function readBoundaries(reader: WireReader): Float32Array {
  const boundaries: number[] = [];
  while (reader.next()) {
    if (reader.field === 1) boundaries.push(...floats(reader));
    else reader.skip();
  }
  return Float32Array.from(boundaries);
}

export function readGradientBoostedHeader(bytes: Uint8Array, budget: ReadBudget): YdfForestHeader {
  const header = newForestHeader();
  const reader = open(bytes, 'gradient_boosted_trees_header.pb', budget);
  while (reader.next()) {
    if (reader.field === 1) header.shards = reader.integer();
    else if (reader.field === 2) header.trees = reader.integer();
    else if (reader.field === 3) header.loss = reader.integer();
    else if (reader.field === 4) header.initial.push(...floats(reader));
    else if (reader.field === 5) header.treesPerIteration = reader.integer();
    else if (reader.field === 7) header.nodeFormat = reader.text();
    else if (reader.field === 9) header.outputLogits = reader.integer() !== 0;
    else reader.skip();
  }
  return header;
}

export function readRandomForestHeader(bytes: Uint8Array, budget: ReadBudget): YdfForestHeader {
  const header = newForestHeader();
  const reader = open(bytes, 'random_forest_header.pb', budget);
  while (reader.next()) {
    if (reader.field === 1) header.shards = reader.integer();
    else if (reader.field === 2) header.trees = reader.integer();
    else if (reader.field === 3) header.winnerTakesAll = reader.integer() !== 0;
    else if (reader.field === 7) header.nodeFormat = reader.text();
    else reader.skip();
  }
  return header;
}

export function readIsolationHeader(bytes: Uint8Array, budget: ReadBudget): YdfForestHeader {
  const header = newForestHeader();
  const reader = open(bytes, 'isolation_forest_header.pb', budget);
  while (reader.next()) {
    if (reader.field === 1) header.shards = reader.integer();
    else if (reader.field === 2) header.trees = reader.integer();
    else if (reader.field === 3) header.nodeFormat = reader.text();
    else if (reader.field === 4) header.examples = reader.integer();
    else reader.skip();
  }
  return header;
}

function newForestHeader(): YdfForestHeader {
  return {
    shards: 0,
    trees: 0,
    loss: 0,
    initial: [],
    treesPerIteration: 1,
    nodeFormat: 'TFE_RECORDIO',
    outputLogits: false,
    winnerTakesAll: true,
    examples: 0,
  };
}

export function readNode(bytes: Uint8Array, what: string, budget: ReadBudget): YdfNode {
  const node: YdfNode = {};
  const reader = open(bytes, what, budget);
  while (reader.next()) {
    if (reader.field === 1) node.classifier = readClassifier(reader.message(`${what}: classifier`));
    else if (reader.field === 2)
      node.regressor = readRegressor(reader.message(`${what}: regressor`));
    else if (reader.field === 3)
      node.condition = readCondition(reader.message(`${what}: condition`));
    else if (reader.field === 6) node.anomaly = readAnomaly(reader.message(`${what}: anomaly`));
    else reader.skip();
  }
  return node;
}

function readClassifier(reader: WireReader): NonNullable<YdfNode['classifier']> {
  const output = { top: 0, counts: [] as number[], sum: 0 };
  while (reader.next()) {
    if (reader.field === 1) output.top = reader.integer();
    else if (reader.field === 2) {
      const distribution = reader.message('a distribution');
      while (distribution.next()) {
        if (distribution.field === 1) output.counts.push(...doubles(distribution));
        else if (distribution.field === 2) output.sum = distribution.float64();
        else distribution.skip();
      }
    } else reader.skip();
  }
  return output;
}

function readRegressor(reader: WireReader): { top: number } {
  let top = 0;
  while (reader.next()) {
    if (reader.field === 1) top = reader.float32();
    else reader.skip();
  }
  return { top };
}

function readAnomaly(reader: WireReader): { examples: number } {
  let examples = 0;
  while (reader.next()) {
    if (reader.field === 1) examples = reader.integer();
    else reader.skip();
  }
  return { examples };
}

function readCondition(reader: WireReader): NonNullable<YdfNode['condition']> {
  let missing = false;
  let attribute = 0;
  let test: YdfTest | undefined;
  while (reader.next()) {
    if (reader.field === 1) missing = reader.integer() !== 0;
    else if (reader.field === 2) attribute = reader.integer();
    else if (reader.field === 3) test = readTest(reader.message('a test'));
    else reader.skip();
  }
  return { missing, attribute, test: test ?? reader.fail('a condition has no test') };
}

/** Field number of each test. */
const TESTS: Record<number, (reader: WireReader) => YdfTest> = {
  1: (reader) => {
    while (reader.next()) reader.skip();
    return { kind: 'missing' };
  },
  2: (reader) => ({ kind: 'higher', threshold: readThreshold(reader, () => reader.float32()) }),
  3: (reader) => {
    while (reader.next()) reader.skip();
    return { kind: 'true' };
  },
  4: (reader) => {
    const elements: number[] = [];
    while (reader.next()) {
      if (reader.field === 1) elements.push(...integers(reader));
      else reader.skip();
    }
    return { kind: 'in', elements };
  },
  5: (reader) => {
    const elements: number[] = [];
    while (reader.next()) {
      if (reader.field === 1) elements.push(...setBits(reader.view()));
      else reader.skip();
    }
    return { kind: 'in', elements };
  },
  6: (reader) => ({
    kind: 'discretized',
    threshold: readThreshold(reader, () => reader.integer()),
  }),
  7: readOblique,
};

function readTest(reader: WireReader): YdfTest {
  let test: YdfTest | undefined;
  while (reader.next()) {
    if (reader.field === 8) {
      throw new UnsupportedModel('Tests of sequences of vectors in YDF models are not supported.');
    }
    const read = TESTS[reader.field];
    if (!read || test) return reader.fail(`there is no test ${reader.field}, or there are two`);
    test = read(reader.message('a test'));
  }
  return test ?? reader.fail('a test is empty');
}

function readThreshold(reader: WireReader, read: () => number): number {
  let threshold = 0;
  while (reader.next()) {
    if (reader.field === 1) threshold = read();
    else reader.skip();
  }
  return threshold;
}

function readOblique(reader: WireReader): YdfTest {
  const test = {
    kind: 'oblique' as const,
    attributes: [] as number[],
    weights: [] as number[],
    threshold: 0,
    replacements: [] as number[],
  };
  while (reader.next()) {
    if (reader.field === 1) test.attributes.push(...integers(reader));
    else if (reader.field === 2) test.weights.push(...floats(reader));
    else if (reader.field === 3) test.threshold = reader.float32();
    else if (reader.field === 4) test.replacements.push(...floats(reader));
    else reader.skip();
  }
  return test;
}

/** Bit `i & 7` of byte `i >> 3` says whether value `i` is in it. */
function setBits(bitmap: Uint8Array): number[] {
  const found: number[] = [];
  for (const [at, byte] of bitmap.entries()) {
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) found.push(8 * at + bit);
  }
  return found;
}

function integers(reader: WireReader): number[] {
  const found: bigint[] = [];
  reader.int64s(found);
  return found.map(Number);
}

function floats(reader: WireReader): number[] {
  const bytes = reader.fixedBytes(4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 2 }, (_, i) => view.getFloat32(4 * i, true));
}

function doubles(reader: WireReader): number[] {
  const bytes = reader.fixedBytes(8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 3 }, (_, i) => view.getFloat64(8 * i, true));
}
