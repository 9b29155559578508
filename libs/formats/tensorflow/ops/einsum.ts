import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { carried } from './carriers.js';
import { joined, productOf, reshapedTo, sizesOf } from './size-lists.js';

/** A value and a letter for each of its dimensions. */
interface Lettered {
  value: GraphValue;
  letters: string[];
}

/**
 * Sums of products by letters. Two tensors are brought into the form of a product of matrices, which is much faster than ONNX
 * Runtime's Einsum; what has no such form (a letter twice in a tensor) is left to that.
 */
const einsum: OpRule = (op) => {
  const equation = op.text('equation').replaceAll(' ', '');
  const [left = '', output] = equation.split('->');
  const terms = left.split(',');
  const inputs = op.tensors();
  if (output === undefined || terms.length !== inputs.length || equation.length > 200)
    return op.unsupported(`the equation ${JSON.stringify(equation.slice(0, 200))} is not.`);
  const given = lettered(op, inputs, terms, output);
  const isTwice = given?.inputs.some(({ letters }) => new Set(letters).size < letters.length);
  const [first, second] = given?.inputs ?? [];
  if (!given || isTwice || !first) return [carried(op, 'Einsum', inputs, { equation })];
  if (!second) return [arranged(op, summed(op, first, given.output), given.output)];
  return [product(op, first, second, given.output)];
};

/** Gives dimensions under an ellipsis letters of their own, counted from the last. Undefined where ranks are not known. */
function lettered(
  op: TfOp,
  values: GraphValue[],
  terms: string[],
  output: string,
): { inputs: Lettered[]; output: string[] } | undefined {
  const named = terms.map((term) => term.replace('...', '').length);
  let hidden = 0;
  for (const [i, value] of values.entries()) {
    if (!value.shape) return undefined;
    const own = value.shape.length - (named[i] ?? 0);
    if (own < 0 || (own > 0 && !terms[i]?.includes('...')))
      return op.unsupported('its equation does not fit its inputs.');
    hidden = Math.max(hidden, own);
  }
  const spread = (term: string, count: number) => {
    const [before = '', after] = term.split('...');
    const dots = Array.from({ length: count }, (_, i) => `.${hidden - count + i}`);
    const letters = (text: string) => text.split('');
    return [...letters(before), ...(after === undefined ? [] : [...dots, ...letters(after)])];
  };
  const inputs = values.map((value, i) => ({
    value,
    letters: spread(terms[i] ?? '', (value.shape?.length ?? 0) - (named[i] ?? 0)),
  }));
  // Sizes of 1 give way to others only under an ellipsis: that is broadcasting, which is left to ONNX Runtime.
  const broadcasts = inputs.some(({ letters }) => letters.some((letter) => letter.startsWith('.')));
  if (broadcasts && values.length > 1) return undefined;
  return { inputs, output: spread(output, hidden) };
}

/** Without the letters that nothing else has. */
function summed(op: TfOp, { value, letters }: Lettered, kept: string[]): Lettered {
  const gone = letters.flatMap((letter, axis) => (kept.includes(letter) ? [] : [axis]));
  if (gone.length === 0) return { value, letters };
  const axes = op.graph.integers(gone);
  const sum = carried(op, 'ReduceSum', [value], { keepdims: 0 }, [axes]);
  return { value: sum, letters: letters.filter((letter) => kept.includes(letter)) };
}

/** With the letters in another order. */
function arranged(op: TfOp, { value, letters }: Lettered, order: string[]): GraphValue {
  if (order.length !== letters.length) return op.unsupported('its equation names no such output.');
  return op.graph.transpose(
    value,
    order.map((letter) => letters.indexOf(letter)),
  );
}

/** Two tensors: letters of both that stay are batches, others of both are summed up. */
function product(op: TfOp, one: Lettered, other: Lettered, output: string[]): GraphValue {
  const left = summed(op, one, [...other.letters, ...output]);
  const right = summed(op, other, [...one.letters, ...output]);
  const shared = left.letters.filter((letter) => right.letters.includes(letter));
  const batch = output.filter((letter) => shared.includes(letter));
  const contracted = shared.filter((letter) => !output.includes(letter));
  const own = ({ letters }: Lettered) =>
    output.filter((l) => letters.includes(l) && !shared.includes(l));
  const [rows, columns] = [own(left), own(right)];
  // The factor whose letters come first in the output goes first, so that nothing has to be moved in the end.
  const place = (list: string[]) => Math.min(...list.map((letter) => output.indexOf(letter)));
  if (rows.length > 0 && columns.length > 0 && place(columns) < place(rows))
    return product(op, other, one, output);
  const sides = { batch, rows, columns, contracted };
  const first = factor(op, left, [batch, rows, contracted], batch.length === 0);
  const second = factor(op, right, [batch, contracted, columns], false);
  const matrix = carried(op, 'MatMul', [first, second]);
  const whole = unfolded(op, matrix, { left, right }, sides);
  return arranged(op, { value: whole, letters: [...batch, ...rows, ...columns] }, output);
}

/** A factor as matrices: letters of a group become one dimension; `keepsRows` leaves those of the second group apart. */
function factor(op: TfOp, given: Lettered, groups: string[][], keepsRows: boolean): GraphValue {
  const [batch = [], ...sides] = groups;
  const value = arranged(op, given, groups.flat());
  const isPlain = sides.every(
    (side, i) => side.length === 1 || (i === 0 && keepsRows && side.length > 0),
  );
  if (isPlain) return value;
  const sizes = [sizesOf(op, value, 0, batch.length)];
  let axis = batch.length;
  sides.forEach((side, i) => {
    const own = sizesOf(op, value, axis, axis + side.length);
    sizes.push(i === 0 && keepsRows && side.length > 0 ? own : productOf(op, own));
    axis += side.length;
  });
  return reshapedTo(op, value, joined(op, sizes));
}

/** The product with each letter as a dimension of its own. */
function unfolded(
  op: TfOp,
  matrix: GraphValue,
  { left, right }: { left: Lettered; right: Lettered },
  { batch, rows, columns }: { batch: string[]; rows: string[]; columns: string[] },
): GraphValue {
  const keepsRows = batch.length === 0 && rows.length > 0;
  if ((rows.length === 1 || keepsRows) && columns.length === 1) return matrix;
  const sizeOf = (letter: string) => {
    const source = left.letters.includes(letter) ? left : right;
    const axis = source.letters.indexOf(letter);
    return sizesOf(op, source.value, axis, axis + 1);
  };
  return reshapedTo(op, matrix, joined(op, [...batch, ...rows, ...columns].map(sizeOf)));
}

export const einsums: Record<string, OpRule> = { Einsum: einsum };
