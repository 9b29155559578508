import { DamagedModel } from '../importer.js';
import { joblibArray, joblibFileArray, joblibZFileState } from './joblib-arrays.js';
import { DType, type DTypeField, MOST_FIELDS } from './dtype.js';
import { checkShape } from './shape.js';
import type { PickleMachine } from './pickle-machine.js';
import {
  NdArray,
  PyDict,
  PyFloat,
  PyGlobal,
  PyObject,
  PySet,
  PyTuple,
  type PyValue,
} from './records.js';
import { bytesOfLatin1, latin1 } from './texts.js';

/** What a call of this name gives, as data; undefined: it stays a PyObject. */
type Constructor = (machine: PickleMachine, args: PyValue[]) => PyValue | undefined;

/**
 * The few names whose calls are read as what they would give. Exactly these: everything else is a PyObject that nobody calls.
 * numpy.core was renamed to numpy._core in numpy 2, `__builtin__` and `copy_reg` are Python 2's names.
 */
const constructors = new Map<string, Constructor>(
  names({
    '_codecs.encode': encode,
    'numpy.dtype': (_, [code]) => (typeof code === 'string' ? DType.parse(code) : undefined),
    'numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct': emptyArray,
    'numpy.core.multiarray.scalar numpy._core.multiarray.scalar': scalar,
    'numpy.core.numeric._frombuffer numpy._core.numeric._frombuffer': arrayOfBuffer,
    'collections.OrderedDict': orderedDict,
    'builtins.set __builtin__.set': (m, args) => setOf(m, args, false),
    'builtins.frozenset __builtin__.frozenset': (m, args) => setOf(m, args, true),
    'builtins.bytes __builtin__.bytes': bytesOf,
    'builtins.bytearray __builtin__.bytearray': bytesOf,
    'copyreg._reconstructor copy_reg._reconstructor': ofClass,
    'copyreg.__newobj__ copy_reg.__newobj__': (m, [made, ...args]) =>
      m.make('new', made, new PyTuple(args)),
  }),
);

function* names(table: Record<string, Constructor>): Iterable<[string, Constructor]> {
  for (const [ids, constructor] of Object.entries(table)) {
    for (const id of ids.split(' ')) yield [id, constructor];
  }
}

/** REDUCE: what calling would give. */
export function reduce(machine: PickleMachine, callable: PyValue, args: PyValue): PyValue {
  if (!(args instanceof PyTuple)) return machine.damaged('the arguments are not a tuple');
  machine.budget.memory(160);
  if (callable instanceof PyGlobal) {
    machine.callable(callable);
    const made = constructors.get(callable.id)?.(machine, args.items);
    if (made !== undefined) return made;
  }
  return machine.make('reduce', callable, args);
}

/** BUILD: the state of the object on top of the stack. */
export function build(machine: PickleMachine, target: PyValue, state: PyValue): void {
  if (target instanceof DType) {
    completeDType(machine, target, state);
  } else if (target instanceof NdArray) {
    fillArray(machine, target, state);
  } else if (target instanceof PyObject) {
    if (target.state !== undefined) machine.damaged('an object is given its state twice');
    target.state = state;
    const read = target.class instanceof PyGlobal ? wrappers.get(target.class.id) : undefined;
    read?.(machine, state);
  } else if (!(target instanceof PyDict)) {
    // Attributes of an OrderedDict say nothing here; the state of a class or function would change it for all.
    machine.damaged('a state is given to what can have none');
  }
}

/** Stand-ins of joblib: what is on top of the stack is replaced by the array that they stand for. */
const wrappers = new Map<string, (machine: PickleMachine, state: PyValue) => void>(
  ['joblib', 'sklearn.externals.joblib'].flatMap((joblib) => [
    [`${joblib}.numpy_pickle.NumpyArrayWrapper`, joblibArray],
    [`${joblib}.numpy_pickle.NDArrayWrapper`, joblibFileArray],
    [`${joblib}.numpy_pickle_compat.NDArrayWrapper`, joblibFileArray],
    [`${joblib}.numpy_pickle.ZNDArrayWrapper`, zFileArray],
    [`${joblib}.numpy_pickle_compat.ZNDArrayWrapper`, zFileArray],
  ]),
);

function zFileArray(machine: PickleMachine, state: PyValue): void {
  const array = new NdArray();
  fillArray(machine, array, joblibZFileState(machine, state));
  machine.replaceTop(array);
}

/** Bytes; those of protocol 2 and Python 2 are texts of one character a byte. */
function rawBytes(machine: PickleMachine, value: PyValue | undefined): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== 'string') return undefined;
  machine.budget.work(value.length);
  machine.budget.memory(160);
  const { longText } = machine.shared;
  return longText?.text === value ? longText.bytes : bytesOfLatin1(value);
}

function encode(machine: PickleMachine, [text, encoding]: PyValue[]): PyValue | undefined {
  if (typeof text !== 'string' || typeof encoding !== 'string') return undefined;
  if (!/^(?:latin-?1|iso-?8859-1)$/i.test(encoding)) return undefined;
  return rawBytes(machine, text);
}

function bytesOf(machine: PickleMachine, [content, encoding]: PyValue[]): PyValue | undefined {
  if (content === undefined) return new Uint8Array(0);
  if (content instanceof Uint8Array) return content;
  return encoding === undefined ? undefined : encode(machine, [content, encoding]);
}

function setOf(machine: PickleMachine, args: PyValue[], frozen: boolean): PyValue | undefined {
  const [items = []] = args;
  if (!Array.isArray(items)) return undefined;
  machine.budget.memory(120);
  return new PySet(items, frozen);
}

function orderedDict(machine: PickleMachine, args: PyValue[]): PyValue | undefined {
  const [pairs = []] = args;
  if (!Array.isArray(pairs)) return undefined;
  machine.budget.work(16 * pairs.length);
  machine.budget.memory(240);
  const values = pairs.flatMap((pair) => {
    const items = pair instanceof PyTuple ? pair.items : pair;
    if (Array.isArray(items) && items.length === 2) return items;
    throw new DamagedModel('an OrderedDict is made of what are no pairs');
  });
  const dict = new PyDict();
  machine.setItems(dict, values);
  return dict;
}

/** `copyreg._reconstructor(class, base, state)` of protocols 0 and 1: an object of the class, its state by BUILD. */
function ofClass(machine: PickleMachine, [made]: PyValue[]): PyValue {
  return machine.make('new', made, new PyTuple([]));
}

function emptyArray(_: PickleMachine, [made]: PyValue[]): PyValue {
  const array = new NdArray();
  if (made instanceof PyGlobal && made.id !== 'numpy.ndarray') array.subclass = made.id;
  return array;
}

function arrayOfBuffer(machine: PickleMachine, args: PyValue[]): PyValue {
  const [buffer, dtype, shape, order] = args;
  if (!(buffer instanceof Uint8Array && dtype instanceof DType)) {
    return machine.damaged('_frombuffer is not given bytes and a dtype');
  }
  return NdArray.of(dtype, checkShape(shape), buffer, order === 'F');
}

function scalar(machine: PickleMachine, [dtype, content]: PyValue[]): PyValue | undefined {
  if (!(dtype instanceof DType)) return undefined;
  if (dtype.kind === 'O') return content;
  const bytes =
    rawBytes(machine, content) ??
    (content === undefined ? new Uint8Array(dtype.itemSize) : undefined);
  if (!bytes) return machine.damaged('a numpy scalar has no bytes');
  return scalarOf(NdArray.of(dtype, [], bytes));
}

/** The one element of an array without dimensions, as Python would have it; undefined: Python's types have none like it. */
export function scalarOf(array: NdArray): PyValue | undefined {
  const { kind, itemSize } = array.dtype;
  if (kind === 'O') return array.objects()[0];
  if (kind === 'U') return array.strings()[0];
  if (kind === 'S') return array.elements()[0];
  if (!'biuf'.includes(kind) || itemSize > 8) return undefined;
  const [value] = array.typed();
  if (value === undefined) return undefined;
  if (kind === 'f') return new PyFloat(Number(value));
  if (kind === 'b') return value !== 0;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** numpy's `dtype.__setstate__`: version, order, subarray, names, fields, item size, alignment, flags[, metadata]. */
function completeDType(machine: PickleMachine, dtype: DType, state: PyValue): void {
  if (!(state instanceof PyTuple)) return machine.damaged('the state of a dtype is not a tuple');
  const [version, order, subarray = null, names = null, fields = null, itemSize] = state.items;
  if (typeof version !== 'number' || version > 4)
    machine.damaged('the state of a dtype is not known');
  const orderText = order instanceof Uint8Array ? latin1(order) : order;
  if (typeof orderText !== 'string' || !/^[<>|=]$/.test(orderText)) {
    machine.damaged('the byte order of a dtype is none');
  }
  machine.budget.memory(200);
  dtype.complete({
    bigEndian: orderText === '>',
    ...(typeof itemSize === 'number' && itemSize >= 0 ? { itemSize } : {}),
    ...(subarray === null ? {} : { subarray: subarrayOf(machine, subarray) }),
    ...(names === null ? {} : { fields: fieldsOf(machine, names, fields) }),
  });
}

function subarrayOf(machine: PickleMachine, given: PyValue): { dtype: DType; shape: number[] } {
  const [dtype, shape] = given instanceof PyTuple ? given.items : [];
  return dtype instanceof DType
    ? { dtype, shape: checkShape(shape) }
    : machine.damaged('a dtype of arrays has no dtype');
}

function fieldsOf(machine: PickleMachine, names: PyValue, given: PyValue): DTypeField[] {
  if (!(names instanceof PyTuple && given instanceof PyDict)) {
    return machine.damaged('the fields of a dtype are not named');
  }
  if (names.items.length > MOST_FIELDS)
    machine.damaged(`a dtype has more than ${MOST_FIELDS} fields`);
  machine.budget.memory(160 * names.items.length);
  return names.items.map((name) => {
    const text = name instanceof Uint8Array ? latin1(name) : name;
    const field = typeof text === 'string' ? given.get(text) : undefined;
    const [dtype, offset] = field instanceof PyTuple ? field.items : [];
    if (typeof text === 'string' && dtype instanceof DType && Number.isInteger(offset)) {
      return { name: text, dtype, offset: Number(offset) };
    }
    return machine.damaged('a field of a dtype is not described');
  });
}

/** numpy's `ndarray.__setstate__`: [version,] shape, dtype, Fortran order, content. */
function fillArray(machine: PickleMachine, array: NdArray, state: PyValue): void {
  if (!(state instanceof PyTuple)) return machine.damaged('the state of an array is not a tuple');
  const items = state.items.length === 5 ? state.items.slice(1) : state.items;
  const [shape, dtype, fortran, content] = items;
  if (!(dtype instanceof DType)) return machine.damaged('an array has no dtype');
  const filling = dtype.kind === 'O' ? content : rawBytes(machine, content);
  if (!(filling instanceof Uint8Array || Array.isArray(filling))) {
    return machine.damaged('an array has no content');
  }
  machine.budget.memory(200);
  array.fill(dtype, checkShape(shape), filling, fortran === true || fortran === 1);
}
