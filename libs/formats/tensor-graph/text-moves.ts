import type { OnnxAttribute } from '../onnx-file/onnx-messages.js';
import type { Known } from './known.js';
import type { GraphValue, TensorGraph } from './tensor-graph.js';

interface GivenMove {
  operator: string;
  inputs: (GraphValue | undefined)[];
  attributes: Record<string, OnnxAttribute>;
}

/** Strings as elements of others: which element of which each is. */
interface Chosen {
  places: GraphValue;
  pool: GraphValue[];
}

const chosen = new WeakMap<GraphValue, Chosen>();

/** Operators that put elements elsewhere and do nothing with them. */
const MOVES = new Set(
  'Reshape Squeeze Unsqueeze Flatten Transpose Gather GatherND GatherElements Slice Concat Expand Tile Split Where ScatterND ScatterElements ReverseSequence Compress'.split(
    ' ',
  ),
);

/** Bodies are looked through where they are written. */
const BODIES = new Set(['Loop', 'If']);

/**
 * Operators on strings. ONNX Runtime takes UTF-8 only, and no string with a NUL, while TensorFlow's strings are bytes: so it moves the
 * places of the elements, and a kernel takes the strings from there. Undefined: the operator has nothing to do with strings.
 * Throws Error where strings cannot be its inputs.
 */
export function moveTexts(
  graph: TensorGraph,
  { operator, inputs, attributes }: GivenMove,
  known: Known[],
): GraphValue[] | undefined {
  const texts = inputs.filter((input) => input?.dtype === 'BYTES');
  const pool = texts.filter((input) => input !== undefined);
  const [first] = pool;
  if (!first || BODIES.has(operator)) return undefined;
  if (operator === 'Identity') return [first];
  if (operator === 'Equal') return graph.kernel('equal-texts', pool, known);
  const { moving, from } = placesOf(graph, pool);
  const next = moving.values();
  const given = inputs.map((input) => (input?.dtype === 'BYTES' ? next.next().value : input));
  if (operator === 'Shape' || operator === 'Size')
    return graph.ops(operator, given, { attributes });
  if (!MOVES.has(operator)) throw new Error(`${operator} takes no strings`);
  const outputs = known.map(({ shape }) => ({ dtype: 'INT64' as const, shape }));
  return graph.ops(operator, given, { attributes, outputs }).map((places) => {
    const [taken] = graph.kernel(
      'take-elements',
      [places, ...from],
      [{ dtype: 'BYTES', shape: places.shape }],
    );
    if (!taken) throw new Error(`${operator} has no output`);
    chosen.set(taken, { places, pool: from });
    return taken;
  });
}

function placesOf(
  graph: TensorGraph,
  pool: GraphValue[],
): { moving: GraphValue[]; from: GraphValue[] } {
  const [first] = pool;
  const known = first && pool.length === 1 ? chosen.get(first) : undefined;
  if (known) return { moving: [known.places], from: known.pool };
  const outputs = pool.map(({ shape }) => ({ dtype: 'INT64' as const, shape }));
  return { moving: graph.kernel('places', pool, outputs), from: pool };
}
