import type { DType, TensorData } from '#program';

/** Sizes of the dimensions; −1 is one that is not known before a request comes. */
export type Shape = readonly number[];

/** What is known of a value while a model is compiled. */
export interface Known {
  dtype: DType;
  /** Absent: not even how many dimensions it has. */
  shape?: Shape | undefined;
  /** All elements, where they do not depend on a request. */
  constant?: TensorData | undefined;
  /** The elements of an INT32 or INT64 of one dimension or none as far as they are known, −1 for one that is not: mostly a shape. */
  sizes?: readonly number[] | undefined;
}

/** What both shapes agree in. */
export function commonShape(one: Shape | undefined, other: Shape | undefined): Shape | undefined {
  if (!one || one.length !== other?.length) return undefined;
  return one.map((size, axis) => (size === other[axis] ? size : -1));
}

/** The elements of a constant of integers or booleans as numbers; undefined where it is none, or they are too large for a double. */
export function integersOf({ dtype, constant }: Known): number[] | undefined {
  if (!constant || Array.isArray(constant) || dtype.startsWith('FP') || dtype === 'BF16')
    return undefined;
  const values = Array.from(constant, Number);
  return values.every(Number.isSafeInteger) ? values : undefined;
}

/** The only element of a constant. */
export function integerOf(value: Known | undefined): number | undefined {
  const values = value && integersOf(value);
  return values?.length === 1 ? values[0] : undefined;
}

/** An axis that may count from the end. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
