import type { DType } from './dtype.js';
import type { NdArray } from './ndarray.js';

export { DType, type NumpyDType } from './dtype.js';
export { NdArray } from './ndarray.js';

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
