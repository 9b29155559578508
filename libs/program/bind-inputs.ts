import { fromBfloat16, fromFloat16, holdsDType } from './dtype.js';
import { namesColumns, pointedAtOrigin, splitNamedColumns } from './named-columns.js';
import { ProgramError } from './program-error.js';
import type { Program, TableBinding } from './program.js';
import { chooseSignature, inputName, outputName } from './signatures.js';
import type { DType, Signature, Tensor, TensorSpec } from './tensor.js';

/** What of a program (or of a loaded one) says how requests are bound to it. */
export type Bindable = Pick<Program, 'signature' | 'signatures' | 'binding'>;

export interface BindLimits {
  maxRows: number;
  /** `parameters.signature_name` of the request; absent: the default signature. */
  signature?: string | undefined;
}

/**
 * Makes the tensors of a request the inputs that `Runtime.run` takes.
 *
 * Graphs of tensors take exactly their names, dtypes and shapes. Tables take their columns by name (`[n]` or `[n, 1]`), or,
 * where all columns are numeric, one matrix `X` (`[n, columns]`; a single tensor of rank 2 may have any name), of any numeric
 * or BOOL dtype, which is converted as the model's library would. A matrix whose `parameters.columns` names its columns stands
 * for these columns; several may, such as one of numbers and one of texts.
 *
 * Throws ProgramError (INVALID_INPUT) with a pointer into the request's body and a message that shows the signature.
 */
export function bindInputs(program: Bindable, tensors: Tensor[], limits: BindLimits): Tensor[] {
  const { binding } = program;
  const { name: chosen, signature } = chooseSignature(program, limits.signature);
  for (let i = 0; i < tensors.length; i++) {
    const tensor = tensors[i];
    if (tensor) checkTensor(tensor, i, signature);
  }
  if (binding.kind === 'tensors') {
    const bound = bindTensors(signature, tensors, limits);
    if (chosen === undefined) return bound;
    return bound.map((tensor) => ({ ...tensor, name: inputName(chosen, tensor.name) }));
  }
  // A model that was fitted on an array takes columns by their place, whatever they are called.
  if (signature.inputs[0]?.shape.length !== 2 && namesColumns(tensors)) {
    const named = splitNamedColumns(tensors);
    try {
      return bindTable(signature, binding, named.columns, limits);
    } catch (error) {
      throw pointedAtOrigin(error, named);
    }
  }
  return bindTable(signature, binding, tensors, limits);
}

/**
 * The outputs to run, as `Runtime.run` takes them: those that the request names, else the default of the signature. Throws
 * ProgramError (INVALID_INPUT) for one that the signature does not have.
 */
export function bindOutputs(
  program: Pick<Bindable, 'signature' | 'signatures'>,
  requested?: string[],
  signatureName?: string,
): string[] {
  const { name: chosen, signature } = chooseSignature(program, signatureName);
  const outputs = outputsOf(signature, requested);
  return chosen === undefined ? outputs : outputs.map((output) => outputName(chosen, output));
}

function outputsOf(signature: Signature, requested: string[] | undefined): string[] {
  const names = signature.outputs.map((output) => output.name);
  if (!requested?.length) return signature.defaultOutputs ?? names;
  for (const [i, name] of requested.entries()) {
    if (!names.includes(name)) {
      throw ProgramError.input(
        `/outputs/${i}/name`,
        `There is no output "${name}". The outputs are ${showSpecs(signature.outputs)}.`,
      );
    }
    if (requested.indexOf(name) !== i) {
      throw ProgramError.input(`/outputs/${i}/name`, `Output "${name}" is asked for twice.`);
    }
  }
  return requested;
}

function refuse(
  at: number | undefined,
  part: string,
  message: string,
  signature: Signature,
): never {
  const pointer = at === undefined ? '/inputs' : `/inputs/${at}${part && `/${part}`}`;
  throw ProgramError.input(pointer, `${message} Expected ${showSpecs(signature.inputs)}.`);
}

const MOST_SHOWN = 20;

/** The inputs of a signature as messages show them. */
export function showInputs({ inputs }: Signature): string {
  return showSpecs(inputs);
}

function showSpecs(specs: TensorSpec[]): string {
  const shown = specs.slice(0, MOST_SHOWN).map(showSpec).join(', ');
  return specs.length > MOST_SHOWN ? `${shown} and ${specs.length - MOST_SHOWN} more` : shown;
}

function showSpec({ name, dtype, shape, sequence, optional, anyShape }: TensorSpec): string {
  const dimensions = anyShape ? 'of any shape' : `[${shape.join(', ')}]`;
  return `"${name}${sequence ? '.N' : ''}" ${dtype} ${dimensions}${optional ? ' (optional)' : ''}`;
}

/** What holds for every tensor, whatever the program. */
function checkTensor(tensor: Tensor, at: number, signature: Signature): void {
  const { name, dtype, shape, data } = tensor;
  let count = 1;
  for (let i = 0; i < shape.length; i++) {
    const dimension = shape[i] ?? -1;
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      refuse(at, 'shape', `The shape of "${name}" must be of integers from 0.`, signature);
    }
    count *= dimension;
  }
  if (!holdsDType(data, dtype) || count !== data.length) {
    refuse(
      at,
      'data',
      `"${name}" has shape [${shape.join(', ')}] but ${data.length} elements.`,
      signature,
    );
  }
}

function checkRows(rows: number, at: number, name: string, { maxRows }: BindLimits): void {
  if (rows > maxRows) {
    throw ProgramError.input(
      `/inputs/${at}/shape`,
      `"${name}" has ${rows} rows; a request may have ${maxRows} at most. Split it into several.`,
    );
  }
}

function bindTensors(signature: Signature, tensors: Tensor[], limits: BindLimits): Tensor[] {
  if (areBound(signature, tensors, limits)) return tensors;
  const used = new Set<number>();
  const bound = signature.inputs.flatMap((spec) => {
    const items = spec.sequence ? sequenceItems(spec, tensors) : [indexOf(spec.name, tensors)];
    return items.flatMap((at) => {
      const tensor = at === undefined ? undefined : tensors[at];
      if (at === undefined || !tensor) {
        if (spec.optional) return [];
        return refuse(undefined, '', `Input "${spec.name}" is missing.`, signature);
      }
      if (used.has(at)) refuse(at, 'name', `"${tensor.name}" is given twice.`, signature);
      used.add(at);
      checkAgainst(spec, tensor, at, signature);
      if (spec.shape[0] === -1) checkRows(tensor.shape[0] ?? 0, at, tensor.name, limits);
      return tensor;
    });
  });
  checkAllUsed(tensors, used, signature);
  return bound;
}

/** A quick look: whether the tensors are just the inputs, in their order, with nothing to say about any. */
function areBound({ inputs }: Signature, tensors: Tensor[], { maxRows }: BindLimits): boolean {
  if (inputs.length !== tensors.length) return false;
  for (let i = 0; i < inputs.length; i++) {
    const [spec, tensor] = [inputs[i], tensors[i]];
    if (!spec || !tensor || spec.name !== tensor.name || spec.dtype !== tensor.dtype) return false;
    if (spec.sequence || spec.anyShape || spec.shape.length !== tensor.shape.length) return false;
    for (let k = 0; k < spec.shape.length; k++) {
      const dimension = spec.shape[k];
      if (
        dimension === -1
          ? k === 0 && (tensor.shape[0] ?? 0) > maxRows
          : dimension !== tensor.shape[k]
      )
        return false;
    }
  }
  return true;
}

function indexOf(name: string, tensors: Tensor[]): number | undefined {
  const at = tensors.findIndex((tensor) => tensor.name === name);
  return at < 0 ? undefined : at;
}

/** `NAME.0`, `NAME.1`, … as far as they go. */
function sequenceItems({ name }: TensorSpec, tensors: Tensor[]): (number | undefined)[] {
  const items: number[] = [];
  for (;;) {
    const at = indexOf(`${name}.${items.length}`, tensors);
    if (at === undefined) return items;
    items.push(at);
  }
}

function checkAgainst(spec: TensorSpec, tensor: Tensor, at: number, signature: Signature): void {
  const { name, dtype, shape } = tensor;
  if (dtype !== spec.dtype) {
    refuse(at, 'datatype', `"${name}" is ${dtype} and must be ${spec.dtype}.`, signature);
  }
  const fits =
    spec.anyShape ||
    (shape.length === spec.shape.length &&
      shape.every((dimension, i) => spec.shape[i] === -1 || spec.shape[i] === dimension));
  if (!fits) {
    const must = `[${spec.shape.join(', ')}]`;
    refuse(
      at,
      'shape',
      `"${name}" has shape [${shape.join(', ')}] and must have ${must}.`,
      signature,
    );
  }
}

function checkAllUsed(tensors: Tensor[], used: Set<number>, signature: Signature): void {
  const at = tensors.findIndex((_, i) => !used.has(i));
  const tensor = tensors[at];
  if (!tensor) return;
  const twice = tensors.findIndex(({ name }) => name === tensor.name) < at;
  const message = twice
    ? `"${tensor.name}" is given twice.`
    : `There is no input "${tensor.name}".`;
  refuse(at, 'name', message, signature);
}

function bindTable(
  signature: Signature,
  binding: TableBinding,
  tensors: Tensor[],
  limits: BindLimits,
): Tensor[] {
  const { matrix } = binding;
  const [only] = tensors;
  const isMatrix = only && tensors.length === 1 && only.shape.length === 2;
  if (matrix && isMatrix && (only.name === 'X' || !isColumn(only, signature))) {
    return [bindMatrix(signature, binding, matrix, only, limits)];
  }
  const [spec] = signature.inputs;
  if (matrix && spec?.shape.length === 2) {
    if (!only) refuse(undefined, '', `Input "${spec.name}" is missing.`, signature);
    if (tensors.length > 1) refuse(1, 'name', 'One input is expected.', signature);
    const rank = `"${only.name}" has shape [${only.shape.join(', ')}] and must be a matrix of rows.`;
    refuse(0, 'shape', rank, signature);
  }
  const columns = bindColumns(signature, tensors, limits);
  if (matrix) return [joinColumns(signature, binding, matrix, columns)];
  const ignored = new Set(binding.ignored);
  return columns
    .filter(({ spec: column }) => !ignored.has(column.name))
    .map(({ spec: column, tensor, at }) => convertColumn(signature, binding, column, tensor, at));
}

/** Whether a matrix with one column is the column of the table that it is named after. */
function isColumn({ name, shape }: Tensor, { inputs }: Signature): boolean {
  return shape[1] === 1 && inputs.some((input) => input.name === name && input.shape.length === 1);
}

function bindMatrix(
  signature: Signature,
  binding: TableBinding,
  { dtype, columns }: NonNullable<TableBinding['matrix']>,
  tensor: Tensor,
  limits: BindLimits,
): Tensor {
  const [rows = 0, width] = tensor.shape;
  if (width !== columns) {
    const message = `"${tensor.name}" has ${width} columns and must have ${columns}.`;
    refuse(0, 'shape', message, signature);
  }
  checkRows(rows, 0, tensor.name, limits);
  const data = numbersOf(tensor, 0, dtype, signature);
  if (binding.finite) checkFinite(data, 0, tensor.name, columns);
  return { name: 'X', dtype, shape: [rows, columns], data };
}

interface BoundColumn {
  spec: TensorSpec;
  tensor: Tensor;
  at: number;
}

function bindColumns(signature: Signature, tensors: Tensor[], limits: BindLimits): BoundColumn[] {
  const places = new Map<string, number>();
  for (const [i, { name }] of tensors.entries()) if (!places.has(name)) places.set(name, i);
  let rows: number | undefined;
  const bound = signature.inputs.flatMap((spec): BoundColumn[] => {
    const at = places.get(spec.name);
    const tensor = at === undefined ? undefined : tensors[at];
    if (at === undefined || !tensor) {
      if (spec.optional) return [];
      return refuse(undefined, '', `Input "${spec.name}" is missing.`, signature);
    }
    const [length = 0, ...rest] = tensor.shape;
    if (tensor.shape.length === 0 || rest.some((dimension) => dimension !== 1) || rest.length > 1) {
      const must = 'must be a column: [rows] or [rows, 1]';
      refuse(
        at,
        'shape',
        `"${spec.name}" has shape [${tensor.shape.join(', ')}] and ${must}.`,
        signature,
      );
    }
    checkRows(length, at, spec.name, limits);
    if (rows !== undefined && length !== rows) {
      const message = `"${spec.name}" has ${length} rows where the columns before it have ${rows}.`;
      refuse(at, 'shape', message, signature);
    }
    rows = length;
    return [{ spec, tensor, at }];
  });
  checkAllUsed(tensors, new Set(bound.map(({ at }) => at)), signature);
  return bound;
}

function joinColumns(
  signature: Signature,
  binding: TableBinding,
  { dtype, columns }: NonNullable<TableBinding['matrix']>,
  bound: BoundColumn[],
): Tensor {
  const rows = bound[0]?.tensor.shape[0] ?? 0;
  const data =
    dtype === 'FP32' ? new Float32Array(rows * columns) : new Float64Array(rows * columns);
  for (const [column, { tensor, at }] of bound.entries()) {
    const numbers = numbersOf(tensor, at, dtype, signature);
    if (binding.finite) checkFinite(numbers, at, tensor.name, 1);
    for (let row = 0; row < rows; row++) data[row * columns + column] = numbers[row] ?? NaN;
  }
  return { name: 'X', dtype, shape: [rows, columns], data };
}

const INTEGERS: ReadonlySet<DType> = new Set<DType>([
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
]);

/** A column as the graph takes it: one dimension, and the dtype of the signature. */
function convertColumn(
  signature: Signature,
  binding: TableBinding,
  { name, dtype }: TensorSpec,
  tensor: Tensor,
  at: number,
): Tensor {
  const shape = [tensor.shape[0] ?? 0];
  if (dtype === 'FP32' || dtype === 'FP64') {
    const data = numbersOf(tensor, at, dtype, signature);
    if (binding.finite) checkFinite(data, at, name, 1);
    return { name, dtype, shape, data };
  }
  if (dtype === 'BYTES' && binding.integersAsTexts && INTEGERS.has(tensor.dtype)) {
    return { name, dtype, shape, data: Array.from(tensor.data, String) };
  }
  if (tensor.dtype !== dtype) {
    const must = binding.integersAsTexts && dtype === 'BYTES' ? `${dtype} or integers` : dtype;
    refuse(at, 'datatype', `"${name}" is ${tensor.dtype} and must be ${must}.`, signature);
  }
  return { name, dtype, shape, data: tensor.data };
}

/** Numbers of any dtype as float32 or float64; no copy is made of what is so already. */
function numbersOf(
  { name, dtype, data }: Tensor,
  at: number,
  wanted: 'FP32' | 'FP64',
  signature: Signature,
): Float32Array | Float64Array {
  if (Array.isArray(data)) {
    return refuse(at, 'datatype', `"${name}" is BYTES and must be numeric.`, signature);
  }
  const Numbers = wanted === 'FP32' ? Float32Array : Float64Array;
  if (data instanceof Numbers) return data;
  const toNumber = dtype === 'FP16' ? fromFloat16 : dtype === 'BF16' ? fromBfloat16 : Number;
  const numbers = new Numbers(data.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = toNumber(Number(data[i]));
  return numbers;
}

function checkFinite(
  data: Float32Array | Float64Array,
  at: number,
  name: string,
  width: number,
): void {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? 0;
    // Infinity minus itself is NaN; so is NaN, but that is not equal to itself to begin with.
    if (value - value !== 0 && value === value) {
      throw ProgramError.input(
        `/inputs/${at}/data`,
        `"${name}" is infinite, or too large for a float32, in row ${Math.floor(i / width)}: this model's library refuses such numbers. Send null or NaN for a missing value.`,
      );
    }
  }
}
