import { DTYPES, elementCount, elementSize } from './dtype.js';
import { JsonReader } from './json-reader.js';
import { parseBridge } from './onnx-bridge.js';
import {
  SCHEMA_VERSION,
  type Binding,
  type Body,
  type Forest,
  type ForestWeights,
  type KernelNode,
  type LoopNode,
  type ObliviousForest,
  type Program,
  type ProgramFile,
  type ProgramNode,
  type StoredFile,
  type WeightRef,
} from './program.js';
import { parseSignature, parseSignatures } from './parse-signatures.js';
import type { DType } from './tensor.js';

/** Bounds on what a program may hold, so that a hostile one costs little before it is refused. */
const MOST = {
  version: 1_000_000,
  nodes: 20_000,
  files: 10_000,
  tensors: 100_000,
  rank: 32,
  attributes: 64,
  attributeItems: 5_000_000,
  trees: 1_000_000,
  columns: 100_000,
  weights: 2 ** 40,
} as const;

const WEIGHT_DTYPES = DTYPES.filter((dtype) => dtype !== 'BYTES');

/**
 * Checks a parsed `program.json` and answers it with the known members only. Throws ProgramError (INVALID_PROGRAM) with a
 * pointer to what is wrong. Arrays in the weights are checked when the program is loaded.
 */
export function parseProgram(document: unknown): Program {
  const root = new JsonReader(document, '');
  checkVersion(root.field('schemaVersion'));
  const weights = parseStored(root.field('weights'));
  const signatures = root.field('signatures');
  const program: Program = {
    schemaVersion: SCHEMA_VERSION,
    importer: root.field('importer').string(),
    format: root.field('format').string(),
    signature: parseSignature(root.field('signature')),
    ...(signatures.present && { signatures: parseSignatures(signatures) }),
    binding: parseBinding(root.field('binding')),
    rowwise: root.field('rowwise').boolean(),
    nodes: root
      .field('nodes')
      .array(MOST.nodes)
      .map((node) => parseNode(node, weights.size)),
    weights,
    files: root.field('files').array(MOST.files).map(parseFile),
  };
  checkTable(program, root);
  return program;
}

function checkVersion(at: JsonReader): void {
  const version = at.integer(1, MOST.version);
  if (version !== SCHEMA_VERSION) {
    at.fail(
      `is ${version}, and this reader knows version ${SCHEMA_VERSION} of the schema. Compile the model again, or read it with the release that wrote it.`,
    );
  }
}

function parseStored(at: JsonReader): StoredFile {
  const digest = at.field('digest');
  return {
    size: at.field('size').integer(0, MOST.weights),
    ...(digest.present && { digest: digest.string() }),
  };
}

function parseFile(at: JsonReader): ProgramFile {
  const place = at.field('path');
  const path = place.string();
  if (path.startsWith('/') || path.split('/').includes('..'))
    place.fail('must lead to a file below');
  return { path, ...parseStored(at) };
}

function parseShape(at: JsonReader, least: number): number[] {
  return at.array(MOST.rank).map((dimension) => dimension.integer(least, 2 ** 40));
}

function parseBinding(at: JsonReader): Binding {
  if (at.field('kind').oneOf(['tensors', 'table']) === 'tensors') return { kind: 'tensors' };
  const matrix = at.field('matrix');
  const finite = at.field('finite');
  const ignored = at.field('ignored');
  const integers = at.field('integersAsTexts');
  return {
    kind: 'table',
    ...(matrix.present && {
      matrix: {
        dtype: matrix.field('dtype').oneOf(['FP32', 'FP64']),
        columns: matrix.field('columns').integer(0, MOST.columns),
      },
    }),
    ...(finite.present && { finite: finite.boolean() }),
    ...(ignored.present && {
      ignored: ignored.array(MOST.columns).map((name) => name.string()),
    }),
    ...(integers.present && { integersAsTexts: integers.boolean() }),
  };
}

/** The binding of a table is about the columns that the signature shows. */
function checkTable({ binding, signature, signatures }: Program, root: JsonReader): void {
  if (binding.kind !== 'table') return;
  if (signatures) root.field('signatures').fail('go with the binding "tensors" alone');
  const { inputs } = signature;
  for (const [i, input] of inputs.entries()) {
    const ranks = inputs.length === 1 ? [1, 2] : [1];
    if (!ranks.includes(input.shape.length) || input.shape[0] !== -1 || input.sequence) {
      root.field('signature').fail(`input ${i} must be a column of a table`);
    }
  }
  const { matrix, ignored = [] } = binding;
  const names = new Set(inputs.map((input) => input.name));
  if (ignored.some((name) => !names.has(name))) {
    root.field('binding').field('ignored').fail('must be names of inputs');
  }
  if (inputs.some((input) => input.optional && !ignored.includes(input.name))) {
    root.field('binding').fail('an optional column must be ignored');
  }
  if (!matrix) return;
  const [first] = inputs;
  const columns = first?.shape.length === 2 ? first.shape[1] : inputs.length;
  if (
    columns !== matrix.columns ||
    ignored.length > 0 ||
    inputs.some(({ dtype }) => dtype === 'BYTES')
  ) {
    root.field('binding').fail('the matrix must have the columns of the signature, all numeric');
  }
}

/** Bodies inside of bodies. */
const MAX_DEPTH = 32;
const KINDS = ['kernel', 'forest', 'oblivious', 'onnx', 'loop', 'branch'] as const;

function parseNode(at: JsonReader, size: number, depth = 0): ProgramNode {
  switch (at.field('kind').oneOf(KINDS)) {
    case 'loop':
      return parseLoop(at, size, depth);
    case 'branch':
      return {
        kind: 'branch',
        inputs: names(at.field('inputs')),
        outputs: names(at.field('outputs')),
        whenTrue: parseBody(at.field('whenTrue'), size, depth),
        whenFalse: parseBody(at.field('whenFalse'), size, depth),
      };
    case 'kernel':
      return parseKernelNode(at, size);
    case 'forest':
      return {
        kind: 'forest',
        inputs: [only(at.field('inputs'), 1)[0] ?? ''],
        outputs: pair(at.field('outputs')),
        forest: parseForest(at.field('forest'), size),
      };
    case 'oblivious':
      return {
        kind: 'oblivious',
        inputs: [only(at.field('inputs'), 1)[0] ?? ''],
        outputs: pair(at.field('outputs')),
        forest: parseOblivious(at.field('forest'), size),
      };
    case 'onnx':
      return {
        kind: 'onnx',
        inputs: parseNames(at.field('inputs')),
        outputs: parseNames(at.field('outputs')),
        ...(at.field('graph').present
          ? { graph: parseWeight(at.field('graph'), size) }
          : { file: at.field('file').string() }),
        ...(at.field('bridge').present && { bridge: parseBridge(at.field('bridge')) }),
      };
  }
}

function parseLoop(at: JsonReader, size: number, depth: number): LoopNode {
  return {
    kind: 'loop',
    inputs: names(at.field('inputs')),
    outputs: names(at.field('outputs')),
    states: at.field('states').integer(0, MOST.tensors),
    scans: at
      .field('scans')
      .array(MOST.tensors)
      .map((scan) => ({
        dtype: scan.field('dtype').oneOf(DTYPES),
        shape: parseShape(scan.field('shape'), -1),
      })),
    body: parseBody(at.field('body'), size, depth),
  };
}

function parseBody(at: JsonReader, size: number, depth: number): Body {
  if (depth >= MAX_DEPTH) at.fail(`is inside of more than ${MAX_DEPTH} others`);
  return {
    inputs: names(at.field('inputs')),
    nodes: at
      .field('nodes')
      .array(MOST.nodes)
      .map((node) => parseNode(node, size, depth + 1)),
    outputs: names(at.field('outputs')),
  };
}

function names(at: JsonReader): string[] {
  return at.array(MOST.tensors).map((name) => name.string());
}

function parseKernelNode(at: JsonReader, size: number): KernelNode {
  const attributes = at.field('attributes');
  const weights = at.field('weights');
  return {
    kind: 'kernel',
    kernel: at.field('kernel').string(),
    inputs: at
      .field('inputs')
      .array(MOST.tensors)
      .map((name) => name.string()),
    outputs: at
      .field('outputs')
      .array(MOST.tensors)
      .map((name) => name.string()),
    ...(attributes.present && {
      attributes: Object.fromEntries(
        attributes
          .entries(MOST.attributes)
          .map(([name, value]) => [name, value.attribute(MOST.attributeItems)]),
      ),
    }),
    ...(weights.present && {
      weights: Object.fromEntries(
        weights.entries(MOST.attributes).map(([name, ref]) => [name, parseWeight(ref, size)]),
      ),
    }),
  };
}

function only(at: JsonReader, count: number): string[] {
  const names = at.array(count).map((name) => name.string());
  return names.length === count ? names : at.fail(`must have ${count} names`);
}

function pair(at: JsonReader): [string, string] {
  const [scores = '', leaf = ''] = only(at, 2);
  return [scores, leaf];
}

function parseNames(at: JsonReader): Record<string, string> {
  return Object.fromEntries(
    at.entries(MOST.tensors).map(([name, value]) => [name, value.string()]),
  );
}

function parseWeight(at: JsonReader, size: number): WeightRef {
  const ref: WeightRef = {
    dtype: at.field('dtype').oneOf(WEIGHT_DTYPES),
    shape: parseShape(at.field('shape'), 0),
    offset: at.field('offset').integer(0, MOST.weights),
  };
  if (ref.offset % 8) at.fail('must be aligned to 8 bytes');
  // Not a number where a dimension is 0 and others are beyond measure.
  if (!(ref.offset + elementCount(ref.shape) * elementSize(ref.dtype) <= size)) {
    at.fail(`lies outside the ${size} bytes of the weights`);
  }
  return ref;
}

function parseForest(at: JsonReader, size: number): Forest {
  const category = at.field('category');
  const zero = at.field('zero');
  return {
    features: at.field('features').integer(0, MOST.columns),
    trees: at.field('trees').integer(0, MOST.trees),
    columns: at.field('columns').integer(1, MOST.columns),
    comparison: at.field('comparison').oneOf(['<', '<=']),
    inputDtype: at.field('inputDtype').oneOf(['FP32', 'FP64']),
    sumDtype: at.field('sumDtype').oneOf(['FP32', 'FP64']),
    ...(category.present && { category: category.oneOf(['truncate', 'non-negative'] as const) }),
    ...(zero.present && { zero: zero.number() }),
    weights: parseForestWeights(at.field('weights'), size),
  };
}

function parseOblivious(at: JsonReader, size: number): ObliviousForest {
  const weights = at.field('weights');
  return {
    features: at.field('features').integer(0, MOST.columns),
    trees: at.field('trees').integer(0, MOST.trees),
    columns: at.field('columns').integer(1, MOST.columns),
    weights: {
      starts: parseTyped(weights.field('starts'), size, ['INT32']),
      features: parseTyped(weights.field('features'), size, ['INT32']),
      borders: parseTyped(weights.field('borders'), size, ['FP32']),
      missingGreatest: parseTyped(weights.field('missingGreatest'), size, ['UINT8']),
      values: parseTyped(weights.field('values'), size, ['FP64']),
    },
  };
}

function parseTyped(at: JsonReader, size: number, dtypes: DType[]): WeightRef {
  const ref = parseWeight(at, size);
  return dtypes.includes(ref.dtype) ? ref : at.fail(`must be ${dtypes.join(' or ')}`);
}

function parseForestWeights(at: JsonReader, size: number): ForestWeights {
  const weight = (name: keyof ForestWeights, ...dtypes: DType[]) =>
    parseTyped(at.field(name), size, dtypes);
  const optional = (name: keyof ForestWeights, ...dtypes: DType[]) =>
    at.field(name).present ? { [name]: weight(name, ...dtypes) } : {};
  return {
    starts: weight('starts', 'INT32'),
    features: weight('features', 'INT32'),
    thresholds: weight('thresholds', 'FP32', 'FP64'),
    left: weight('left', 'INT32'),
    right: weight('right', 'INT32'),
    flags: weight('flags', 'UINT8'),
    values: weight('values', 'FP32', 'FP64'),
    ...optional('columns', 'INT32'),
    ...optional('base', 'FP32', 'FP64'),
    ...optional('setStarts', 'UINT32'),
    ...optional('setWords', 'UINT32'),
  };
}
