import { integersOf } from '../tensor-graph/known.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import { isInvariant, type MadeBy, type Makers } from './loop-form.js';

/** One addend of a weighted sum: `operand × weight`, or `weight` alone where there is no operand; of the weight only a part. */
export interface Term {
  operand?: GraphValue;
  weight: GraphValue;
  /** `[from, to)` of the last dimension. */
  columns?: [number, number];
  /** `[from, to)` of the first dimension. */
  rows?: [number, number];
}

/** Reads how a value is a sum of products with weights that no turn of a loop changes. */
export class LinearForms {
  constructor(
    private readonly scope: TensorGraph,
    private readonly makers: Makers,
  ) {}

  /** Undefined: it is no such sum. */
  of(value: GraphValue): Term[] | undefined {
    if (isInvariant(value, this.scope)) return [{ weight: value }];
    const made = this.makers.of(value);
    if (!made) return undefined;
    const [left, right, added] = made.inputs;
    if (made.operator === 'Add' && left && right) return sum(this.of(left), this.of(right));
    if (made.operator === 'MatMul' && left && right) return this.product(left, right);
    if (made.operator === 'Gemm' && left && right && isPlainGemm(made))
      return sum(this.product(left, right), added ? this.of(added) : []);
    const part = partOf(made, value);
    return part && restricted(this.of(part.whole), part.columns);
  }

  /** The terms of `v` where the value is `operator(v)` or columns of it. */
  activated(value: GraphValue, operator: string): Term[] | undefined {
    const made = this.makers.of(value);
    if (!made) return undefined;
    if (made.operator === operator) return made.inputs[0] && this.of(made.inputs[0]);
    const part = partOf(made, value);
    return part && restricted(this.activated(part.whole, operator), part.columns);
  }

  private product(operand: GraphValue, weight: GraphValue): Term[] | undefined {
    if (weight.shape?.length !== 2 || !isInvariant(weight, this.scope)) return undefined;
    const made = this.makers.of(operand);
    const rank = operand.shape?.length ?? -1;
    const axis = made?.integer('axis', 0) ?? 0;
    if (made?.operator !== 'Concat' || rank !== 2 || (axis !== 1 && axis !== -1))
      return [{ operand: this.makers.same(operand), weight }];
    let row = 0;
    const terms: Term[] = [];
    for (const part of made.inputs) {
      const size = part?.shape?.at(-1) ?? -1;
      if (!part || size < 0) return undefined;
      terms.push({ operand: this.makers.same(part), weight, rows: [row, row + size] });
      row += size;
    }
    return terms;
  }
}

function sum(left: Term[] | undefined, right: Term[] | undefined): Term[] | undefined {
  return left && right && [...left, ...right];
}

function isPlainGemm(made: MadeBy): boolean {
  return (
    made.integer('transA', 0) === 0 &&
    made.integer('transB', 0) === 0 &&
    !made.hasFloat('alpha') &&
    !made.hasFloat('beta')
  );
}

/** The value that another is columns of. */
export function partOf(
  made: MadeBy,
  value: GraphValue,
): { whole: GraphValue; columns: [number, number] } | undefined {
  const [whole] = made.inputs;
  const rank = whole?.shape?.length;
  const width = value.shape?.at(-1) ?? -1;
  if (!whole || rank === undefined || width < 0 || value.shape?.length !== rank) return undefined;
  if (made.operator === 'Split') {
    const axis = made.integer('axis', 0);
    if ((axis < 0 ? axis + rank : axis) !== rank - 1) return undefined;
    const sizes = made.inputs[1] ? integersOf(made.inputs[1]) : undefined;
    if (made.inputs[1] && !sizes) return undefined;
    const all = whole.shape?.at(-1) ?? -1;
    if (!sizes && (all < 0 || all % made.outputs !== 0)) return undefined;
    const start = sizes
      ? sizes.slice(0, made.output).reduce((total, size) => total + size, 0)
      : (all / made.outputs) * made.output;
    return { whole, columns: [start, start + width] };
  }
  if (made.operator !== 'Slice') return undefined;
  return slicedColumns(made, whole, rank, width);
}

function slicedColumns(
  made: MadeBy,
  whole: GraphValue,
  rank: number,
  width: number,
): { whole: GraphValue; columns: [number, number] } | undefined {
  const [starts, stops, axes, steps] = made.inputs.slice(1).map((list) => list && integersOf(list));
  if (
    !starts ||
    !stops ||
    made.inputs.slice(1).some((list, i) => list && ![starts, stops, axes, steps][i])
  )
    return undefined;
  let from = 0;
  for (const [i, start] of starts.entries()) {
    const given = axes?.[i] ?? i;
    const axis = given < 0 ? given + rank : given;
    const size = whole.shape?.[axis] ?? -1;
    const stop = stops[i] ?? 0;
    if ((steps?.[i] ?? 1) !== 1) return undefined;
    if (axis === rank - 1) {
      if (size < 0) return undefined;
      from = start < 0 ? Math.max(0, start + size) : Math.min(start, size);
    } else if (start !== 0 || !(size >= 0 ? stop >= size : stop >= 2 ** 31 - 1)) return undefined;
  }
  return { whole, columns: [from, from + width] };
}

function restricted(terms: Term[] | undefined, [from, to]: [number, number]): Term[] | undefined {
  return terms?.map((term) => {
    const width = term.columns ? term.columns[1] - term.columns[0] : term.weight.shape?.at(-1);
    // What is added to all columns alike.
    if (!term.operand && (width === undefined || width === 1)) return term;
    const start = term.columns?.[0] ?? 0;
    return { ...term, columns: [start + from, start + to] };
  });
}
