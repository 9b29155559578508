import type { DType } from '#program';
import type { OnnxAttribute } from '../../onnx-file/onnx-messages.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { TfOp } from '../op-rule.js';

const FLOATS = 'FP32 FP64 FP16';
const INTEGERS = 'INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64';
const NUMBERS = `${FLOATS} ${INTEGERS}`;
const REDUCED = `${FLOATS} INT32 INT64`;
const COMPARED = `${FLOATS} INT8 INT32 INT64 UINT8`;
const MOST = `${COMPARED} UINT32 UINT64`;
const SINGLE = 'FP32 FP16';

/** The dtypes that ONNX Runtime 1.30 has a kernel of each operator for, on a CPU. An operator that is not here takes all. */
const KERNELS: Record<string, string> = {
  ...listed('Add Sub Mul Div Mod Greater GreaterOrEqual Less LessOrEqual', NUMBERS),
  ...listed('Abs Sign', NUMBERS),
  ...listed('Equal', `${NUMBERS} BOOL BYTES`),
  ...listed('Pow ReduceSum ReduceMean ReduceProd CumSum Einsum', REDUCED),
  ...listed('Max Min Clip', MOST),
  ...listed('Pad', `${MOST} BOOL`),
  ...listed('ReduceMax ReduceMin ArgMax ArgMin', COMPARED),
  ...listed('TopK', `${COMPARED} INT16`),
  ...listed('Neg', `${FLOATS} INT8 INT16 INT32 INT64`),
  ...listed('BitwiseNot BitwiseAnd BitwiseOr BitwiseXor', INTEGERS),
  ...listed('Relu', `${FLOATS} INT8 INT32`),
  ...listed('Where', `${REDUCED} UINT8 BYTES`),
  ...listed('MatMul', `${REDUCED} UINT32 UINT64`),
  ...listed('Trilu', `${REDUCED} BOOL`),
  ...listed('NonZero', 'FP32 FP16 INT32 INT64 UINT8 BOOL'),
  ...listed('Range', 'FP32 FP64 INT16 INT32 INT64'),
  ...listed('MaxPool DepthToSpace SpaceToDepth', `${FLOATS} INT8 UINT8`),
  ...listed(
    'Floor Ceil Round Exp Log Sqrt Reciprocal Sigmoid Tanh Sin Cos Softmax LogSoftmax IsNaN IsInf BatchNormalization LayerNormalization Gemm',
    FLOATS,
  ),
  ...listed(
    'LeakyRelu Elu Selu Softsign Erf Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Gelu Conv ConvTranspose AveragePool LRN Resize',
    SINGLE,
  ),
};

/** Dtypes that hold all numbers of another one. What wraps around in the narrow one is cut off when the result is cast back. */
const WIDER: Partial<Record<DType, DType[]>> = {
  BOOL: ['UINT8', 'INT32'],
  INT8: ['INT32', 'FP32'],
  INT16: ['INT32', 'FP32'],
  UINT8: ['INT32', 'FP32'],
  UINT16: ['INT32', 'FP32'],
  UINT32: ['INT64', 'FP64'],
  FP16: ['FP32'],
};

/** Operators whose bits are the same for signed and unsigned integers. */
const SIGNLESS = new Set(['Where', 'ReduceSum', 'ReduceProd', 'CumSum', 'Einsum', 'Neg']);

function listed(names: string, dtypes: string): Record<string, string> {
  return Object.fromEntries(names.split(' ').map((name) => [name, dtypes]));
}

/** The dtype in which ONNX Runtime computes an operator exactly as in `dtype`; undefined: in none. */
export function carrierOf(operator: string, dtype: DType): DType | undefined {
  const kernels = KERNELS[operator]?.split(' ');
  if (dtype === 'BF16') return undefined;
  if (!kernels || kernels.includes(dtype)) return dtype;
  const wider = WIDER[dtype] ?? (dtype === 'UINT64' && SIGNLESS.has(operator) ? ['INT64'] : []);
  return (wider as DType[]).find((candidate) => kernels.includes(candidate));
}

/**
 * An ONNX operator of inputs of one dtype, in one that ONNX Runtime has a kernel for: a wider one where that is exact. The
 * output has the inputs' dtype again, or the operator's own (comparisons, places).
 * `rest` are further inputs, of other dtypes. Refuses the model by name where there is no exact way.
 */
export function carried(
  op: TfOp,
  operator: string,
  inputs: GraphValue[],
  attributes: Record<string, OnnxAttribute> = {},
  rest: (GraphValue | undefined)[] = [],
): GraphValue {
  const { dtype } = inputs[0] ?? op.unsupported('it has no inputs.');
  const carrier = carrierOf(operator, dtype) ?? unsupportedDType(op, dtype);
  const cast = inputs.map((input) => op.graph.cast(input, carrier));
  const result = op.graph.op(operator, [...cast, ...rest], attributes);
  return result.dtype === carrier ? op.graph.cast(result, dtype) : result;
}

/** Elements of `yes` where `condition` holds, else those of `no`. */
export function chosen(
  op: TfOp,
  condition: GraphValue,
  yes: GraphValue,
  no: GraphValue,
): GraphValue {
  const carrier = carrierOf('Where', yes.dtype) ?? unsupportedDType(op, yes.dtype);
  const [left, right] = [yes, no].map((value) => op.graph.cast(value, carrier));
  return op.graph.cast(op.graph.op('Where', [condition, left, right]), yes.dtype);
}

export function unsupportedDType(op: TfOp, dtype: DType): never {
  return op.unsupported(`nothing here computes it exactly for ${dtype}.`);
}

export function isFloat(dtype: DType): boolean {
  return dtype.startsWith('FP') || dtype === 'BF16';
}
