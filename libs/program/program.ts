import type { OnnxBridge } from './onnx-bridge.js';
import type { Signatures } from './signatures.js';
import type { DType, Signature } from './tensor.js';

/**
 * The version of the schema. It goes up with whatever an older reader would take in another sense; a reader refuses versions
 * that it does not know. New kernels do not raise it: one that is missing is refused by its name.
 */
export const SCHEMA_VERSION = 1;

/**
 * The one executable form of a model: a directed graph of typed nodes. `program.json` holds this document, `weights.bin` the
 * arrays that it points into. Nodes stand in an order in which each finds its inputs ready: a value is an input of the
 * program or an output of an earlier node, and has one name.
 */
export interface Program {
  schemaVersion: typeof SCHEMA_VERSION;
  /** What wrote it, such as `xgboost@1`. */
  importer: string;
  format: string;
  /** What users see. The outputs are values of the graph with the same names. */
  signature: Signature;
  /**
   * The signatures of a model that names them; `signature` is the default one, or the first where there is none. The graph calls
   * the inputs of the signature S `S/in/…` and its outputs `S/out/…`. Only with the binding `tensors`.
   */
  signatures?: Signatures;
  binding: Binding;
  /** Each row of the answer depends on the same row of the inputs alone, so that requests may be run as one batch. */
  rowwise: boolean;
  nodes: ProgramNode[];
  weights: StoredFile;
  /** Files beside `weights.bin`, such as the parts of an ONNX graph. */
  files: ProgramFile[];
}

export interface StoredFile {
  size: number;
  /** `sha256:…`; present where the program is stored. */
  digest?: string;
}

export interface ProgramFile extends StoredFile {
  path: string;
}

/**
 * How the tensors of a request become the inputs of the graph.
 * - `tensors`: as they are; names, dtypes and shapes must be those of the signature.
 * - `table`: inputs are columns (`[-1]`) or one matrix (`[-1, n]`); any numeric dtype is taken for a numeric input.
 */
export type Binding = { kind: 'tensors' } | TableBinding;

export interface TableBinding {
  kind: 'table';
  /**
   * The graph takes one value `X` of this dtype and `[rows, columns]`, whether the request sends it or a tensor a column.
   * Absent: it takes each column as a value of its own, called {@link COLUMN_PREFIX} and the column's name.
   */
  matrix?: { dtype: 'FP32' | 'FP64'; columns: number };
  /** Infinite numbers (after the cast to the input's dtype) are refused, as the model's library does. */
  finite?: boolean;
  /** Names of optional columns that the graph does not read: a request may send them, of whatever type. Not with `matrix`. */
  ignored?: string[];
  /** Integers are taken for columns of BYTES, as the texts of their decimal digits. */
  integersAsTexts?: boolean;
}

/** What graphs inside the weights call the file that they are in. */
export const WEIGHTS_FILE = 'weights.bin';

/** What the names of columns begin with inside the graph, where an output might have the name of a column. */
export const COLUMN_PREFIX = 'column/';

export type ProgramNode =
  KernelNode | ForestNode | ObliviousNode | OnnxNode | LoopNode | BranchNode;

/** One of the kernels of this library, by name. */
export interface KernelNode {
  kind: 'kernel';
  kernel: string;
  inputs: string[];
  outputs: string[];
  attributes?: Record<string, Attribute>;
  weights?: Record<string, WeightRef>;
}

/** Infinities and NaN are not JSON: they belong into the weights. */
export type Attribute = boolean | number | string | boolean[] | number[] | string[];

/** An array inside `weights.bin`, little-endian, `offset` bytes from its start and aligned to 8. */
export interface WeightRef {
  dtype: Exclude<DType, 'BYTES'>;
  shape: number[];
  offset: number;
}

/** A part run by onnxruntime. */
export interface OnnxNode {
  kind: 'onnx';
  /** Values of this program, by the names of the graph's inputs. */
  inputs: Record<string, string>;
  /** Values that this node makes, by the names of the graph's outputs. */
  outputs: Record<string, string>;
  /** Where the graph is: the path of it among the program's `files`, … */
  file?: string;
  /** … or its bytes, UINT8, in the weights: a ModelProto whose external data is {@link WEIGHTS_FILE}. */
  graph?: WeightRef;
  /** How what is no plain tensor is led through ordinary ones. */
  bridge?: OnnxBridge;
}

/** Nodes inside of a node. They see only the body's own values; weights are those of the program. */
export interface Body {
  inputs: string[];
  nodes: ProgramNode[];
  outputs: string[];
}

/**
 * A loop around nodes of which ONNX Runtime cannot run some; else as ONNX's Loop. The body takes the number of the turn (INT64),
 * the condition, the states and what else it uses; it answers whether another turn follows (BOOL), the next states and what is
 * collected.
 */
export interface LoopNode {
  kind: 'loop';
  /** How many turns at most (INT64), whether there is a first one (BOOL), the states, and what else the body uses. */
  inputs: string[];
  /** The last states; then what was collected, one element a turn along a new first dimension. */
  outputs: string[];
  /** How many states there are. */
  states: number;
  /** What is collected, should there be no turn: −1 becomes 0. */
  scans: { dtype: DType; shape: number[] }[];
  body: Body;
}

/** One of two bodies, of which ONNX Runtime cannot run some node. Both take what follows the condition among the inputs. */
export interface BranchNode {
  kind: 'branch';
  /** The condition (BOOL), and what the bodies use. */
  inputs: string[];
  outputs: string[];
  whenTrue: Body;
  whenFalse: Body;
}

/** Whether a program has parts that only ONNX Runtime runs. */
export function needsOnnx(nodes: readonly ProgramNode[]): boolean {
  return nodes.some((node) => {
    if (node.kind === 'loop') return needsOnnx(node.body.nodes);
    if (node.kind === 'branch')
      return needsOnnx(node.whenTrue.nodes) || needsOnnx(node.whenFalse.nodes);
    return node.kind === 'onnx';
  });
}

/** Trees, all packed alike. */
export interface ForestNode {
  kind: 'forest';
  /** A matrix `[rows, features]` of `forest.inputDtype`. */
  inputs: [rows: string];
  /**
   * The sums: `[rows]` where there is one column, else `[rows, columns]`; and for each tree the leaf that was reached, INT32
   * `[rows, trees]`, by the library's number of it. `""` is an output that nothing needs.
   */
  outputs: [scores: string, leaf: string];
  forest: Forest;
}

/**
 * Trees as data. A node goes left where its test holds. All index arrays count from 0 over the whole forest, except the
 * children, which count from the first node of their tree.
 */
export interface Forest {
  features: number;
  trees: number;
  /** Columns of the sums. */
  columns: number;
  /** The test of an ordinary node: `value < threshold` or `value <= threshold`. */
  comparison: '<' | '<=';
  /** Values are compared in this dtype; with FP32, thresholds in FP64 are compared exactly all the same. */
  inputDtype: 'FP32' | 'FP64';
  /** Leaves are added to the base in the order of the trees, each sum rounded to this dtype. */
  sumDtype: 'FP32' | 'FP64';
  /**
   * How a value becomes a category: `truncate` cuts the fraction off first (−0.5 is category 0), `non-negative` takes
   * numbers below 0 for no category at all. What is no category is in no set.
   */
  category?: 'truncate' | 'non-negative';
  /** Numbers of at most this size count as zero where a node takes zero for missing. */
  zero?: number;
  weights: ForestWeights;
}

export interface ForestWeights {
  /** INT32 `[trees + 1]`: where the nodes of each tree begin; the first is its root. */
  starts: WeightRef;
  /** INT32 `[nodes]`: the feature that is tested, −1 in a leaf. */
  features: WeightRef;
  /** FP32 or FP64 `[nodes]`: the threshold, or the index of the set of a categorical node; unused in a leaf. */
  thresholds: WeightRef;
  /** INT32 `[nodes]`: left child; in a leaf the row of `values`. */
  left: WeightRef;
  /** INT32 `[nodes]`: right child; in a leaf the library's number of it. */
  right: WeightRef;
  /** UINT8 `[nodes]`: see {@link NodeFlag}. */
  flags: WeightRef;
  /** FP32 or FP64 `[leaves, width]`: `width` is 1, or `columns` where each leaf adds to all columns. */
  values: WeightRef;
  /** INT32 `[trees]`: the column that a tree adds to; needed where the width is 1 and there are several columns. */
  columns?: WeightRef;
  /** FP32 or FP64 `[columns]`: what the sums start with; absent = 0. */
  base?: WeightRef;
  /** UINT32 `[sets + 1]`: where the words of each set begin. */
  setStarts?: WeightRef;
  /** UINT32: bit `c & 31` of word `c >> 5` of a set says whether category `c` is in it (then the node goes left). */
  setWords?: WeightRef;
}

/** Oblivious (symmetric) trees: all nodes of a level ask the same, so that a leaf's number is the bits of the answers. */
export interface ObliviousNode {
  kind: 'oblivious';
  /** A matrix `[rows, features]` of FP32. */
  inputs: [rows: string];
  /**
   * The sums FP64: `[rows]` where there is one column, else `[rows, columns]`; and for each tree the number of the leaf that
   * was reached, INT32 `[rows, trees]`. `""` is an output that nothing needs.
   */
  outputs: [scores: string, leaf: string];
  forest: ObliviousForest;
}

/**
 * Oblivious trees as data. Split i of a tree sets bit i of the leaf's number where `value > border`. Sums start at 0, and
 * leaves are added in the order of the trees, in float64.
 */
export interface ObliviousForest {
  features: number;
  trees: number;
  /** Columns of the sums: numbers a leaf. */
  columns: number;
  weights: {
    /** INT32 `[trees + 1]`: where the splits of each tree begin; a tree has 16 at most. */
    starts: WeightRef;
    /** INT32 `[splits]`: the feature that is tested. */
    features: WeightRef;
    /** FP32 `[splits]`. */
    borders: WeightRef;
    /** UINT8 `[features]`: 1 where a missing value (NaN) is greater than every border, else it is greater than none. */
    missingGreatest: WeightRef;
    /** FP64 `[leaves, columns]`: those of the first tree, 2 to the number of its splits, then those of the next. */
    values: WeightRef;
  };
}

/** Bits of {@link ForestWeights.flags}. */
export const NodeFlag = {
  /** A missing value (NaN) goes left. */
  missingLeft: 1,
  /** Zero counts as missing. */
  zeroMissing: 2,
  /** The test is membership in a set of categories. */
  categorical: 4,
} as const;
