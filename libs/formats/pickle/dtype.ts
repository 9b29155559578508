import { DamagedModel } from '../importer.js';

/** As numpy names kinds: bool, int, unsigned, float, complex, object, bytes, text, void, datetime, timedelta. */
export type NumpyKind = 'b' | 'i' | 'u' | 'f' | 'c' | 'O' | 'S' | 'U' | 'V' | 'M' | 'm';

export interface NumpyDType {
  readonly kind: NumpyKind;
  /** Bytes of an element. */
  readonly itemSize: number;
  readonly bigEndian: boolean;
  /** Of a structured dtype. */
  readonly fields?: { name: string; dtype: DType; offset: number }[];
  /** Of a dtype whose every element is an array. */
  readonly subarray?: { dtype: DType; shape: number[] };
}

export type DTypeField = NonNullable<NumpyDType['fields']>[number];

/** What a dtype may be made of; the largest of scikit-learn has 12 fields, one deep. */
const MOST_DEPTH = 8;
export const MOST_FIELDS = 256;
const MOST_ITEM_BYTES = 2 ** 20;

const SIZES: Partial<Record<NumpyKind, readonly number[]>> = {
  b: [1],
  i: [1, 2, 4, 8],
  u: [1, 2, 4, 8],
  f: [2, 4, 8, 12, 16],
  c: [8, 16, 24, 32],
  M: [8],
  m: [8],
};

/** numpy's one-letter codes that stand for another kind. */
const LETTERS: Record<string, string> = { '?': 'b1', O: 'O8', b: 'i1', B: 'u1', a: 'S' };

/** A numpy dtype. The fields of a structured one come after the dtype itself in a pickle: `complete` adds them. */
export class DType implements NumpyDType {
  fields?: DTypeField[];
  subarray?: { dtype: DType; shape: number[] };
  /** Whether elements hold Python objects, anywhere inside. */
  hasObjects: boolean;
  /** How deep dtypes lie in this one. */
  private depth = 0;
  /** A void dtype is nothing before its fields are known; no dtype may be completed twice, or hold itself. */
  private finished = false;

  private constructor(
    readonly kind: NumpyKind,
    public itemSize: number,
    public bigEndian: boolean,
  ) {
    this.hasObjects = kind === 'O';
  }

  /** Of a code such as `f8`, `<i4`, `|O` or `M8[ns]`. Throws DamagedModel. */
  static parse(code: string): DType {
    const [, order = '', given = ''] = /^([<>|=]?)(.*)$/s.exec(code) ?? [];
    const text = Object.hasOwn(LETTERS, given) ? (LETTERS[given] ?? given) : given;
    const match = /^([biufcOSUVMm])(\d{0,7})(?:\[\w{1,32}\])?$/.exec(text);
    const shown = JSON.stringify(code.slice(0, 40));
    if (!match) throw new DamagedModel(`${shown} is not a dtype that is known here`);
    const kind = match[1] as NumpyKind;
    const size = Number(match[2]) * (kind === 'U' ? 4 : 1);
    if (SIZES[kind] && !SIZES[kind].includes(size)) {
      throw new DamagedModel(`the dtype ${shown} has no such size`);
    }
    if (size > MOST_ITEM_BYTES) throw new DamagedModel(`the dtype ${shown} is too large`);
    return new DType(kind, kind === 'O' ? 8 : size, order === '>');
  }

  /** Of fields one after the other, as a `.npy` header lists them. */
  static structured(fields: DTypeField[], itemSize: number): DType {
    const dtype = new DType('V', 0, false);
    return dtype.complete({ bigEndian: false, itemSize, fields });
  }

  static arrays(dtype: DType, shape: number[]): DType {
    const items = shape.reduce((product, length) => product * length, 1);
    return new DType('V', 0, false).complete({
      bigEndian: false,
      itemSize: dtype.itemSize * items,
      subarray: { dtype, shape },
    });
  }

  /** Adds what only the state of a pickled dtype says. Throws DamagedModel. */
  complete(state: {
    bigEndian: boolean;
    itemSize?: number;
    fields?: DTypeField[];
    subarray?: { dtype: DType; shape: number[] };
  }): this {
    if (this.finished) throw new DamagedModel('a dtype is given its state twice');
    this.bigEndian = state.bigEndian;
    if (state.itemSize !== undefined) this.resize(state.itemSize);
    const { fields, subarray } = state;
    for (const part of fields ?? []) {
      this.contain(part.dtype);
      if (part.offset < 0 || part.offset + part.dtype.itemSize > this.itemSize) {
        throw new DamagedModel(`the field "${part.name.slice(0, 80)}" lies outside of its dtype`);
      }
    }
    if (subarray) {
      this.contain(subarray.dtype);
      const items = subarray.shape.reduce((product, length) => product * length, 1);
      if (items * subarray.dtype.itemSize !== this.itemSize) {
        throw new DamagedModel('the shape of a dtype of arrays does not give its size');
      }
    }
    if (fields) this.fields = fields;
    if (subarray) this.subarray = subarray;
    this.finished = true;
    return this;
  }

  /** As numpy writes it: `<f8`. */
  get code(): string {
    const size = this.kind === 'U' ? this.itemSize / 4 : this.itemSize;
    const order =
      this.itemSize === 1 || 'OSV'.includes(this.kind) ? '|' : this.bigEndian ? '>' : '<';
    return `${order}${this.kind}${size}`;
  }

  private resize(itemSize: number): void {
    const free = this.kind === 'V' || this.kind === 'S' || this.kind === 'U';
    if (!Number.isInteger(itemSize) || itemSize < 0 || itemSize > MOST_ITEM_BYTES) {
      throw new DamagedModel(`a dtype has elements of ${itemSize} bytes`);
    }
    if (!free && itemSize !== this.itemSize) {
      throw new DamagedModel(`the dtype ${this.code} is given elements of ${itemSize} bytes`);
    }
    if (this.kind === 'U' && itemSize % 4 !== 0) {
      throw new DamagedModel(`a dtype of texts has elements of ${itemSize} bytes`);
    }
    this.itemSize = itemSize;
  }

  private contain(part: DType): void {
    if (part === this || (part.kind === 'V' && !part.finished)) {
      throw new DamagedModel('a dtype holds itself, or one that is not finished');
    }
    this.depth = Math.max(this.depth, part.depth + 1);
    if (this.depth > MOST_DEPTH) {
      throw new DamagedModel(`dtypes are nested more than ${MOST_DEPTH} deep`);
    }
    this.hasObjects ||= part.hasObjects;
  }
}
