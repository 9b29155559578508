import type { DType } from '#program';
import type { Known } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { textsOf } from './ragged.js';
import { constantText } from './strings.js';

/** What an operation takes out of tf.Examples. */
interface Parsing {
  serialised: GraphValue;
  sparse: string[];
  dense: string[];
  ragged: string[];
  defaults: GraphValue[];
  sparseTypes: DType[];
  denseTypes: DType[];
  raggedTypes: DType[];
  splitTypes: DType[];
  denseShapes: number[][];
}

function typesOf(op: TfOp, name: string): DType[] {
  return op.list(name).map((item) => {
    const type = item.kind === 'type' ? item.value : undefined;
    return type === 'FP32' || type === 'INT64' || type === 'BYTES' || type === 'INT32'
      ? type
      : op.unsupported(`the type ${type} is not.`);
  });
}

function shapesOf(op: TfOp): number[][] {
  return op.list('dense_shapes').map((item) => {
    const shape = item.kind === 'shape' ? item.value : undefined;
    if (!shape || shape.slice(1).includes(-1))
      return op.unsupported('a dense feature must have a known shape, its first size excepted.');
    return shape;
  });
}

/** The elements of an input of strings that must be constant. */
function constantTexts(op: TfOp, i: number): string[] {
  const { constant } = op.tensor(i);
  if (!Array.isArray(constant)) return op.unsupported('its keys must not depend on the request.');
  return constant.map((text) =>
    typeof text === 'string' ? text : op.unsupported('its keys must be UTF-8.'),
  );
}

function parsed(op: TfOp, parsing: Parsing): GraphValue[] {
  const { serialised, sparse, dense, ragged, sparseTypes, denseTypes, raggedTypes } = parsing;
  const rank = serialised.shape?.length ?? op.unsupported('the rank of its examples is not known.');
  if (rank > 1) op.unsupported('its examples must have one dimension or none.');
  const single = rank === 0;
  if (single && ragged.length > 0) op.unsupported('ragged features of one example are not.');
  const rows = single ? [] : [serialised.shape?.[0] ?? -1];
  const known: Known[] = [
    ...sparse.map((): Known => ({ dtype: 'INT64', shape: [-1, rank + 1] })),
    ...sparseTypes.map((dtype) => ({ dtype, shape: [-1] })),
    ...sparse.map((): Known => ({ dtype: 'INT64', shape: [rank + 1] })),
    ...denseTypes.map((dtype, i) => ({
      dtype,
      shape: [...rows, ...(parsing.denseShapes[i] ?? [])],
    })),
    ...raggedTypes.map((dtype) => ({ dtype, shape: [-1] })),
    ...ragged.map((): Known => ({ dtype: 'INT64', shape: rows.map((n) => (n < 0 ? -1 : n + 1)) })),
  ];
  const values = op.graph.kernel('parse-examples', [serialised, ...parsing.defaults], known, {
    attributes: {
      single,
      sparse,
      sparseTypes,
      dense,
      denseTypes,
      denseShapes: parsing.denseShapes.map((shape) => shape.join()),
      ragged,
      raggedTypes,
    },
  });
  const splits = values.length - ragged.length;
  return values.map((value, i) =>
    i < splits ? value : op.graph.cast(value, parsing.splitTypes[i - splits] ?? 'INT64'),
  );
}

const parseV2: OpRule = (op) => {
  const [sparse, dense, ragged] = [2, 3, 4].map((i) => constantTexts(op, i));
  return parsed(op, {
    serialised: op.tensor(0),
    sparse: sparse ?? [],
    dense: dense ?? [],
    ragged: ragged ?? [],
    defaults: (dense ?? []).map((_, i) => op.tensor(5 + i)),
    sparseTypes: typesOf(op, 'sparse_types'),
    denseTypes: typesOf(op, 'Tdense'),
    raggedTypes: typesOf(op, 'ragged_value_types'),
    splitTypes: typesOf(op, 'ragged_split_types'),
    denseShapes: shapesOf(op),
  });
};

const NOT_RAGGED = { ragged: [], raggedTypes: [], splitTypes: [] };

const parse: OpRule = (op) => {
  const [sparse, dense] = [op.integer('Nsparse'), op.integer('Ndense')];
  const key = (i: number) => constantText(op, i, 'keys');
  return parsed(op, {
    ...NOT_RAGGED,
    serialised: op.tensor(0),
    sparse: Array.from({ length: sparse }, (_, i) => key(2 + i)),
    dense: Array.from({ length: dense }, (_, i) => key(2 + sparse + i)),
    defaults: Array.from({ length: dense }, (_, i) => op.tensor(2 + sparse + dense + i)),
    sparseTypes: typesOf(op, 'sparse_types'),
    denseTypes: typesOf(op, 'Tdense'),
    denseShapes: shapesOf(op),
  });
};

const parseSingle: OpRule = (op) => {
  const dense = textsOf(op, 'dense_keys');
  return parsed(op, {
    ...NOT_RAGGED,
    serialised: op.graph.reshape(op.tensor(0), []),
    sparse: textsOf(op, 'sparse_keys'),
    dense,
    defaults: dense.map((_, i) => op.tensor(1 + i)),
    sparseTypes: typesOf(op, 'sparse_types'),
    denseTypes: typesOf(op, 'Tdense'),
    denseShapes: shapesOf(op),
  });
};

/** Features of serialised tf.Examples. */
export const examples: Record<string, OpRule> = {
  ParseExampleV2: parseV2,
  ParseExample: parse,
  ParseSingleExample: parseSingle,
};
