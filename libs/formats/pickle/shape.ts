import { DamagedModel } from '../importer.js';
import { sizeOf } from './elements.js';
import { PyTuple, type PyValue } from './records.js';

/** numpy's own limit was 32 and is 64. */
const MOST_DIMENSIONS = 32;
const MOST_ELEMENTS = 2 ** 40;

/** A shape from a file: throws DamagedModel unless it is one that memory could hold. */
export function checkShape(given: PyValue | undefined): number[] {
  const lengths = typeof given === 'number' ? [given] : given;
  const list = lengths instanceof PyTuple ? lengths.items : lengths;
  if (!Array.isArray(list) || list.length > MOST_DIMENSIONS)
    throw new DamagedModel('a shape is not one');
  const shape = list.map((length) => {
    if (typeof length === 'number' && Number.isSafeInteger(length) && length >= 0) return length;
    throw new DamagedModel('a shape has a length that is no count');
  });
  // Zero times a huge length is still a huge length for whoever looks at one axis.
  if (shape.some((length) => length > MOST_ELEMENTS) || sizeOf(shape) > MOST_ELEMENTS) {
    throw new DamagedModel(`an array of shape [${shape.join(', ')}] is too large`);
  }
  return shape;
}
