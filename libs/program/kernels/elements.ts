import { ProgramError } from '../program-error.js';
import { elementsOf, keyOf, type Bytes } from './byte-texts.js';
import { type Kernel } from './kernel.js';
import { numbersOf } from './numbers-of.js';
import { broadcastPlaces, broadcastShape } from './strings.js';
import { elementCount } from '../dtype.js';

/** Kernels that let ONNX operators put strings elsewhere: they move places, and the strings follow. */
export const elements: Record<string, Kernel> = {
  /** The places of elements: for each input INT64 of its shape, counted on from input to input. */
  places: () => (inputs) => {
    let start = 0;
    return inputs.map(({ shape, data }) => {
      const places = new BigInt64Array(data.length);
      for (let i = 0; i < places.length; i++) places[i] = BigInt(start + i);
      start += data.length;
      return { dtype: 'INT64', shape, data: places };
    });
  },

  /** The elements at places. The first input are the places, INT64 of any shape, in what the others, BYTES, have in a row. */
  'take-elements': (given) => (inputs) => {
    const [places, ...sources] = inputs;
    if (!places) return given.fail('takes places');
    const lists = sources.map(elementsOf);
    const pool: readonly Bytes[] = lists.length === 1 ? (lists[0] ?? []) : lists.flat();
    const data = Array.from(numbersOf(places), (place) => {
      const element = pool[place];
      if (element === undefined)
        throw ProgramError.input('/inputs', `The model takes a string ${place} that is not there.`);
      return element;
    });
    return [{ dtype: 'BYTES', shape: places.shape, data }];
  },

  /** Whether strings BYTES of shapes that broadcast are equal: BOOL. */
  'equal-texts':
    (given) =>
    ([one, other]) => {
      if (!one || !other) return given.fail('takes two inputs');
      const shape = broadcastShape([one.shape, other.shape]);
      const [left, right] = [one, other].map((value) => elementsOf(value).map(keyOf));
      const [first, second] = [one, other].map((value) => broadcastPlaces(value.shape, shape));
      const data = Uint8Array.from({ length: elementCount(shape) }, (_, i) =>
        Number(left?.[first?.(i) ?? 0] === right?.[second?.(i) ?? 0]),
      );
      return [{ dtype: 'BOOL', shape, data }];
    },
};
