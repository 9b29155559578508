import { DamagedModel, UnsupportedModel } from '../importer.js';
import { DType } from './dtype.js';
import {
  ELEMENTS,
  gather,
  type NumberArray,
  sizeOf,
  swapped,
  transposed,
  utf32,
  utf8Text,
} from './elements.js';

export { DType, type NumpyDType } from './dtype.js';

/** Elements without bytes cost the file nothing. */
const MOST_EMPTY_ELEMENTS = 65_536;

/** What a pickle says, as data. Values may be shared and may hold themselves: nothing may walk them as a tree unbounded. */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyFloat
  | PyTuple
  | PyValue[]
  | PySet
  | PyDict
  | PyGlobal
  | PyObject
  | PyPersistentId
  | DType
  | NdArray;

/** A class or function by its name; nothing is looked up. */
export class PyGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}

  get id(): string {
    return `${this.module}.${this.name}`;
  }
}

export class PyTuple {
  constructor(readonly items: PyValue[]) {}
}

export class PySet {
  constructor(
    readonly items: PyValue[],
    readonly frozen: boolean,
  ) {}
}

/** A dict or OrderedDict, entries in the order of the file. Of a key that comes twice, the last value counts. */
export class PyDict {
  readonly entries: [PyValue, PyValue][] = [];
  private texts = new Map<string, PyValue>();
  private indexed = 0;

  get(key: string): PyValue | undefined {
    return this.index().get(key);
  }

  has(key: string): boolean {
    return this.index().has(key);
  }

  /** Made when it is first asked for: most dicts of a hostile file are not. */
  private index(): Map<string, PyValue> {
    for (; this.indexed < this.entries.length; this.indexed++) {
      const [key, value] = this.entries[this.indexed] ?? [null, null];
      if (typeof key === 'string') this.texts.set(key, value);
    }
    return this.texts;
  }
}

/** A Python float, apart from int, which is `number` where it is safe and `bigint` where not: labels print differently. */
export class PyFloat {
  constructor(readonly value: number) {}
}

/** An object that is stored outside of the pickle, by the name that the pickle gives it. */
export class PyPersistentId {
  constructor(readonly id: PyValue) {}
}

/** What a pickle would make by calling something: never called here. */
export class PyObject {
  /** The class, or the function that would be called. */
  readonly class: PyGlobal | PyObject;
  /** Of BUILD: what `__setstate__` would get, or the `__dict__`. */
  state: PyValue | undefined = undefined;
  /** Of APPENDS and ADDITEMS: an object that is a list or set as well. */
  readonly items: PyValue[] = [];
  /** Of SETITEMS: an object that is a dict as well. */
  readonly entries: [PyValue, PyValue][] = [];

  constructor(
    /** `new`: `class.__new__(class, *args, **kwargs)`; `reduce`: `class(*args)`; `inst`: the same in protocol 0. */
    readonly how: 'new' | 'reduce' | 'inst',
    made: PyGlobal | PyObject,
    readonly args: PyTuple,
    readonly kwargs?: PyDict,
  ) {
    this.class = made;
  }
}

/** A numpy array over bytes of the file, or over a list of objects. What it answers is in C order. */
export class NdArray {
  /** Before it is filled it is what numpy's `_reconstruct` makes: an empty array of int8. */
  dtype: DType = DType.parse('i1');
  shape: number[] = [0];
  /** `module.name` of the subclass of ndarray, where it is one. */
  subclass: string | undefined;
  private fortran = false;
  private bytes: Uint8Array = new Uint8Array(0);
  /** In C order whatever `fortran` says: numpy pickles objects through an iterator. */
  private list: PyValue[] = [];
  private filled = false;

  static of(
    dtype: DType,
    shape: number[],
    content: Uint8Array | PyValue[],
    fortran = false,
  ): NdArray {
    return new NdArray().fill(dtype, shape, content, fortran);
  }

  /** Says what it is, once. `content` must be exactly what dtype and shape need. Throws DamagedModel. */
  fill(dtype: DType, shape: number[], content: Uint8Array | PyValue[], fortran: boolean): this {
    if (this.filled) throw new DamagedModel('an array is given its content twice');
    const size = sizeOf(shape);
    if (dtype.hasObjects && dtype.kind !== 'O') {
      throw new UnsupportedModel('an array of records with objects in them is not supported');
    }
    if (Array.isArray(content)) {
      if (dtype.kind !== 'O' || content.length !== size) {
        throw new DamagedModel(
          `an array of shape [${shape.join(', ')}] and dtype ${dtype.code} has a list of ${content.length}`,
        );
      }
      this.list = content;
    } else {
      if (dtype.kind === 'O' || content.length !== size * dtype.itemSize) {
        throw new DamagedModel(
          `an array of shape [${shape.join(', ')}] and dtype ${dtype.code} has ${content.length} bytes`,
        );
      }
      if (dtype.itemSize === 0 && size > MOST_EMPTY_ELEMENTS) {
        throw new DamagedModel(`an array has ${size} elements without bytes`);
      }
      this.bytes = content;
    }
    this.dtype = dtype;
    this.shape = shape;
    this.fortran = fortran && shape.length > 1;
    this.filled = true;
    return this;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Numbers and booleans as float64. Integers beyond 2^53: throws UnsupportedModel; other kinds: DamagedModel. */
  numbers(): Float64Array {
    const typed = this.typed();
    if (typed instanceof Float64Array) return typed;
    const numbers = new Float64Array(typed.length);
    if (typed instanceof BigInt64Array || typed instanceof BigUint64Array) {
      for (let i = 0; i < numbers.length; i++) {
        numbers[i] = Number(typed[i]);
        if (!Number.isSafeInteger(numbers[i])) {
          throw new UnsupportedModel(`the integer ${typed[i]} of an array is beyond 2^53`);
        }
      }
      return numbers;
    }
    numbers.set(typed);
    return numbers;
  }

  /**
   * Numbers as they are stored: booleans as Uint8Array, float16 as Float32Array, datetimes as BigInt64Array. A view of the
   * file where order and alignment allow one: never write to it.
   */
  typed(): NumberArray {
    const { kind, itemSize } = this.dtype;
    const make = ELEMENTS[`${kind}${itemSize}`];
    if (!make) throw new DamagedModel(`an array of ${this.describe()} is not one of numbers`);
    return make(this.nativeBytes(itemSize));
  }

  /** Of dtype object. */
  objects(): PyValue[] {
    if (this.dtype.kind !== 'O') {
      throw new DamagedModel(`an array of ${this.describe()} is not one of objects`);
    }
    return this.list;
  }

  /** Of the kinds U and S (which must be UTF-8). */
  strings(): string[] {
    const { kind, itemSize } = this.dtype;
    if (kind !== 'U' && kind !== 'S') {
      throw new DamagedModel(`an array of ${this.describe()} is not one of texts`);
    }
    const bytes = this.nativeBytes(kind === 'U' ? 4 : 1);
    const texts: string[] = [];
    for (let i = 0; i < this.size; i++) {
      const element = bytes.subarray(i * itemSize, (i + 1) * itemSize);
      texts.push(kind === 'U' ? utf32(element) : utf8Text(element));
    }
    return texts;
  }

  /** The bytes of every element, of any kind but object. */
  elements(): Uint8Array[] {
    const { itemSize } = this.dtype;
    const bytes = this.orderedBytes();
    return Array.from({ length: this.size }, (_, i) =>
      bytes.subarray(i * itemSize, (i + 1) * itemSize),
    );
  }

  hasField(name: string): boolean {
    return this.dtype.fields?.some((field) => field.name === name) ?? false;
  }

  /** One column of a structured array, copied; a field of arrays appends their shape. */
  field(name: string): NdArray {
    const field = this.dtype.fields?.find((each) => each.name === name);
    if (!field) throw new DamagedModel(`an array of ${this.describe()} has no field "${name}"`);
    const column = gather(
      this.bytes,
      this.size,
      this.dtype.itemSize,
      field.offset,
      field.dtype.itemSize,
    );
    const { subarray } = field.dtype;
    if (!subarray) return NdArray.of(field.dtype, this.shape, column, this.fortran);
    if (this.fortran)
      throw new UnsupportedModel('records of arrays in Fortran order are not supported');
    return NdArray.of(subarray.dtype, [...this.shape, ...subarray.shape], column);
  }

  private describe(): string {
    const { kind, itemSize, fields } = this.dtype;
    return fields ? 'records' : `dtype ${kind}${itemSize}`;
  }

  /** Little-endian, C order, aligned for typed arrays. */
  private nativeBytes(elementBytes: number): Uint8Array {
    let bytes = this.orderedBytes();
    if (this.dtype.bigEndian && elementBytes > 1) bytes = swapped(bytes, elementBytes);
    return bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes);
  }

  private orderedBytes(): Uint8Array {
    return this.fortran ? transposed(this.bytes, this.shape, this.dtype.itemSize) : this.bytes;
  }
}
