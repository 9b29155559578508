import { inflateZFile } from './compression.js';
import { DType } from './dtype.js';
import { sizeOf } from './elements.js';
import { checkShape } from './shape.js';
import { readNpy } from './npy.js';
import type { PickleMachine } from './pickle-machine.js';
import { NdArray, PyDict, PyGlobal, PyTuple, type PyValue } from './records.js';

/**
 * joblib's `NumpyArrayWrapper` (0.10 and later): the array's bytes follow the BUILD of the wrapper, since joblib 1.2 after
 * padding whose length is in one byte. An array of objects follows as a pickle.
 */
export function joblibArray(machine: PickleMachine, state: PyValue): void {
  if (!(state instanceof PyDict))
    return machine.damaged('the state of an array of joblib is no dict');
  const dtype = state.get('dtype');
  if (!(dtype instanceof DType)) return machine.damaged('an array of joblib has no dtype');
  const shape = checkShape(state.get('shape'));
  if (dtype.hasObjects) return machine.begin();
  machine.leaveFrame();
  const padded = state.get('numpy_array_alignment_bytes') ?? null;
  if (padded !== null) machine.take(machine.uint8());
  const bytes = machine.data(sizeOf(shape) * dtype.itemSize);
  const array = NdArray.of(dtype, shape, bytes, state.get('order') === 'F');
  array.subclass = subclassOf(state);
  machine.replaceTop(array);
}

/** `NDArrayWrapper` (before 0.10): the array is a `.npy` file beside this one. */
export function joblibFileArray(machine: PickleMachine, state: PyValue): void {
  if (!(state instanceof PyDict))
    return machine.damaged('the state of an array of joblib is no dict');
  const array = readNpy(sibling(machine, state));
  array.subclass = subclassOf(state);
  machine.replaceTop(array);
}

/**
 * `ZNDArrayWrapper` (before 0.10, compressed): the content, a "ZF" file, is beside this one.
 * Answers the state that the array would be given.
 */
export function joblibZFileState(machine: PickleMachine, state: PyValue): PyTuple {
  const rest = state instanceof PyDict ? state.get('state') : undefined;
  if (!(state instanceof PyDict && rest instanceof PyTuple)) {
    return machine.damaged('the state of an array of joblib is not known');
  }
  const content = inflateZFile(sibling(machine, state));
  machine.budget.memory(content.length);
  return new PyTuple([...rest.items, content]);
}

function sibling(machine: PickleMachine, state: PyDict): Uint8Array {
  const name = state.get('filename');
  if (typeof name !== 'string') return machine.damaged('an array of joblib names no file');
  const bytes = machine.shared.sibling?.(name);
  return (
    bytes ??
    machine.damaged(`the array in the file ${JSON.stringify(name.slice(0, 200))} is missing`)
  );
}

function subclassOf(state: PyDict): string | undefined {
  const subclass = state.get('subclass');
  return subclass instanceof PyGlobal && subclass.id !== 'numpy.ndarray' ? subclass.id : undefined;
}
