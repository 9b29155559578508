import type { Forest } from '#program';

/** The trees of a forest, one entry a node, as ONNX wants them. */
export interface ForestNodes {
  starts: Int32Array;
  features: Int32Array;
  thresholds: ArrayLike<number>;
  left: Int32Array;
  right: Int32Array;
  flags: Uint8Array;
  values: ArrayLike<number>;
  base: number;
}

/**
 * A model with one TreeEnsembleRegressor (ai.onnx.ml 3) that says what a plain forest with one column says: float32, or with
 * `double` attributes for a forest of float64. Input `X` `[N, features]`, output `Y` float32 `[N, 1]`.
 */
export function treeEnsembleModel(forest: Forest, nodes: ForestNodes): Uint8Array {
  const isDouble = forest.inputDtype === 'FP64';
  const attributes = treeAttributes(forest, nodes);
  const node = message([
    text(1, 'X'),
    text(2, 'Y'),
    text(3, 'trees'),
    text(4, 'TreeEnsembleRegressor'),
    ...Object.entries(attributes).map(([name, value]) =>
      bytes(5, attribute(name, value, isDouble)),
    ),
    text(7, 'ai.onnx.ml'),
  ]);
  const graph = message([
    bytes(1, node),
    text(2, 'forest'),
    bytes(11, valueInfo('X', isDouble ? DOUBLE : FLOAT, forest.features)),
    bytes(12, valueInfo('Y', FLOAT, 1)),
  ]);
  const opset = (domain: string, version: number) =>
    message([text(1, domain), integer(2, version)]);
  return message([
    integer(1, 8),
    bytes(7, graph),
    bytes(8, opset('', 17)),
    bytes(8, opset('ai.onnx.ml', 3)),
  ]);
}

/**
 * Dense layers of the given sizes: MatMul, Add and Relu, the last one without Relu. `weight` makes the numbers. Input `x`
 * `[N, sizes[0]]`, output `y` `[N, last]`.
 */
export function matMulModel(sizes: number[], weight: () => number): Uint8Array {
  const parts: Uint8Array[] = [];
  const initializer = (name: string, dims: number[]): Uint8Array => {
    const length = dims.reduce((product, dim) => product * dim, 1);
    const raw = new Uint8Array(Float32Array.from({ length }, weight).buffer);
    return message([
      ...dims.map((dim) => integer(1, dim)),
      integer(2, FLOAT),
      text(8, name),
      bytes(9, raw),
    ]);
  };
  const node = (op: string, inputs: string[], output: string): Uint8Array =>
    message([...inputs.map((name) => text(1, name)), text(2, output), text(4, op)]);
  const layers = sizes.length - 1;
  for (let i = 0; i < layers; i++) {
    const [wide = 1, narrow = 1] = sizes.slice(i, i + 2);
    const from = i === 0 ? 'x' : `h${i}`;
    const last = i === layers - 1;
    parts.push(bytes(5, initializer(`w${i}`, [wide, narrow])));
    parts.push(bytes(5, initializer(`b${i}`, [narrow])));
    parts.push(bytes(1, node('MatMul', [from, `w${i}`], `m${i}`)));
    parts.push(bytes(1, node('Add', [`m${i}`, `b${i}`], last ? 'y' : `a${i}`)));
    if (!last) parts.push(bytes(1, node('Relu', [`a${i}`], `h${i + 1}`)));
  }
  const graph = message([
    ...parts,
    text(2, 'dense'),
    bytes(11, valueInfo('x', FLOAT, sizes[0] ?? 1)),
    bytes(12, valueInfo('y', FLOAT, sizes.at(-1) ?? 1)),
  ]);
  return message([
    integer(1, 8),
    bytes(7, graph),
    bytes(8, message([text(1, ''), integer(2, 17)])),
  ]);
}

const FLOAT = 1;
const DOUBLE = 11;

interface Floats {
  floats: number[];
}
type AttributeValue = number | string | number[] | string[] | Floats;

function treeAttributes(forest: Forest, nodes: ForestNodes): Record<string, AttributeValue> {
  const tree: number[] = [];
  const id: number[] = [];
  const mode: string[] = [];
  const leaf = { trees: [] as number[], nodes: [] as number[], weights: [] as number[] };
  const branch = forest.comparison === '<' ? 'BRANCH_LT' : 'BRANCH_LEQ';
  for (let t = 0; t < forest.trees; t++) {
    const first = nodes.starts[t] ?? 0;
    for (let node = first; node < (nodes.starts[t + 1] ?? 0); node++) {
      const isLeaf = nodes.features[node] === -1;
      tree.push(t);
      id.push(node - first);
      mode.push(isLeaf ? 'LEAF' : branch);
      if (!isLeaf) continue;
      leaf.trees.push(t);
      leaf.nodes.push(node - first);
      leaf.weights.push(nodes.values[nodes.left[node] ?? 0] ?? 0);
    }
  }
  const inner = (items: ArrayLike<number>) =>
    Array.from(items, (x, i) => (mode[i] === 'LEAF' ? 0 : x));
  return {
    n_targets: 1,
    aggregate_function: 'SUM',
    post_transform: 'NONE',
    nodes_treeids: tree,
    nodes_nodeids: id,
    nodes_modes: mode,
    nodes_featureids: inner(nodes.features),
    nodes_values: { floats: inner(nodes.thresholds) },
    nodes_truenodeids: inner(nodes.left),
    nodes_falsenodeids: inner(nodes.right),
    nodes_missing_value_tracks_true: inner(nodes.flags.map((flags) => flags & 1)),
    target_treeids: leaf.trees,
    target_nodeids: leaf.nodes,
    target_ids: leaf.trees.map(() => 0),
    target_weights: { floats: leaf.weights },
    base_values: { floats: [nodes.base] },
  };
}

/** AttributeProto. */
function attribute(name: string, value: AttributeValue, isDouble: boolean): Uint8Array {
  const named = (suffix = '') => text(1, `${name}${suffix}`);
  if (typeof value === 'number') return message([named(), integer(3, value), integer(20, 2)]);
  if (typeof value === 'string') return message([named(), text(4, value), integer(20, 3)]);
  if (!Array.isArray(value)) {
    if (!isDouble) {
      const floats = new Uint8Array(Float32Array.from(value.floats).buffer);
      return message([named(), bytes(7, floats), integer(20, 6)]);
    }
    const raw = new Uint8Array(Float64Array.from(value.floats).buffer);
    const tensor = message([integer(1, value.floats.length), integer(2, DOUBLE), bytes(9, raw)]);
    return message([named('_as_tensor'), bytes(5, tensor), integer(20, 4)]);
  }
  const items = value.map((item) => (typeof item === 'string' ? text(9, item) : integer(8, item)));
  return message([named(), ...items, integer(20, typeof value[0] === 'string' ? 8 : 7)]);
}

/** ValueInfoProto of a matrix with any number of rows. */
function valueInfo(name: string, dtype: number, columns: number): Uint8Array {
  const shape = message([bytes(1, text(2, 'N')), bytes(1, integer(1, columns))]);
  const tensorType = message([integer(1, dtype), bytes(2, shape)]);
  return message([text(1, name), bytes(2, message([bytes(1, tensorType)]))]);
}

function message(fields: Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

function integer(field: number, value: number): Uint8Array {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, Buffer.from(value));
}

function varint(value: number): Uint8Array {
  const digits: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    digits.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Uint8Array.from([...digits, rest]);
}
