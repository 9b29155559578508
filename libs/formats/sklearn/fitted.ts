import { DamagedModel, UnsupportedModel } from '../importer.js';
import { NdArray, PyDict, PyGlobal, PyObject, type PyValue } from '../pickle/records.js';
import { labelsOf, type Labels } from './labels.js';
import { itemsOf, numberIn } from './python-values.js';

/** A release of scikit-learn: major and minor. */
export type Release = readonly [number, number];

export interface Matrix {
  rows: number;
  columns: number;
  /** Row-major. */
  data: Float64Array;
}

/** What all objects of one model share while they are read: bounds on what a small file can make of itself. */
export class ReadingBudget {
  private estimators = 0;
  private readonly once = new Set<PyValue>();

  /** `cells`: elements of arrays that may be read, however often the file names the same array. */
  constructor(private cells: number) {}

  spend(cells: number): void {
    this.cells -= cells;
    if (this.cells < 0) {
      throw new UnsupportedModel(
        'The model names the same arrays so often that it is many times as large as its file.',
      );
    }
  }

  countEstimator(): void {
    this.estimators += 1;
    if (this.estimators > MOST_ESTIMATORS) {
      throw new UnsupportedModel(`More than ${MOST_ESTIMATORS} estimators in one model.`);
    }
  }

  /** Whether an object is met for the first time. */
  isFirst(object: PyValue): boolean {
    if (this.once.has(object)) return false;
    this.once.add(object);
    return true;
  }
}

const MOST_ESTIMATORS = 20_000;
const MOST_DEPTH = 32;
const MOST_INTEGER = 2 ** 40;

/**
 * One fitted object: its attributes, read with a demand on what they are. What does not hold throws DamagedModel or
 * UnsupportedModel with the path (`Pipeline.steps[1].coef_`) and the class.
 */
export class Fitted {
  readonly class: string;
  readonly module: string;
  /** The release that fitted it. */
  readonly sklearn: Release;
  private readonly attributes: PyDict;

  constructor(
    readonly record: PyObject,
    readonly path: string,
    readonly budget: ReadingBudget,
    release: Release = [0, 0],
    readonly depth = 0,
  ) {
    const made = record.class;
    if (!(made instanceof PyGlobal)) {
      throw new DamagedModel(`${path} is not an object of a class`);
    }
    this.class = made.name;
    this.module = made.module;
    this.sklearn = release;
    if (depth > MOST_DEPTH) this.unsupported(`is nested more than ${MOST_DEPTH} deep`);
    this.attributes =
      record.state instanceof PyDict ? record.state : this.damaged('has no attributes');
    this.sklearn = releaseOf(this.attributes.get('_sklearn_version')) ?? release;
  }

  /** Whether it was fitted by this release or a later one. */
  since(major: number, minor: number): boolean {
    const [itsMajor, itsMinor] = this.sklearn;
    return itsMajor > major || (itsMajor === major && itsMinor >= minor);
  }

  /** The name of the class with its module. */
  get id(): string {
    return `${this.module}.${this.class}`;
  }

  unsupported(why: string): never {
    const [major, minor] = this.sklearn;
    const release = this.module.startsWith('sklearn.') ? ` (scikit-learn ${major}.${minor})` : '';
    throw new UnsupportedModel(`${this.where} of ${this.class}${release} ${why}.`);
  }

  damaged(why: string): never {
    throw new DamagedModel(`${this.where} (${this.class}) ${why}`);
  }

  private get where(): string {
    return this.path;
  }

  has(name: string): boolean {
    return this.attributes.has(name);
  }

  isNone(name: string): boolean {
    return (this.attributes.get(name) ?? null) === null;
  }

  attribute(name: string): PyValue {
    const value = this.attributes.get(name);
    return value === undefined ? this.damaged(`has no ${name}: it is not fitted`) : value;
  }

  /** The first of these names that it has with a value: releases renamed attributes. */
  named(...names: string[]): string | undefined {
    return names.find((name) => !this.isNone(name));
  }

  /** The first of these names that it has; throws where it has none. */
  oneNamed(...names: string[]): string {
    return this.named(...names) ?? this.damaged(`has no ${names.join(' and no ')}`);
  }

  number(name: string): number {
    return numberIn(this.attribute(name)) ?? this.wrong(name, 'a number');
  }

  /** A number, or what stands for it where the release did not have it. */
  numberOr(name: string, otherwise: number): number {
    return this.isNone(name) ? otherwise : this.number(name);
  }

  integer(name: string, least = -MOST_INTEGER, most = MOST_INTEGER): number {
    const value = this.number(name);
    return Number.isInteger(value) && value >= least && value <= most
      ? value
      : this.wrong(name, `an integer from ${least} to ${most}`);
  }

  text(name: string): string {
    const value = this.attribute(name);
    return typeof value === 'string' ? value : this.wrong(name, 'a string');
  }

  /** Raw bytes, such as a model of another library. */
  bytes(name: string): Uint8Array {
    const value = this.attribute(name);
    if (!(value instanceof Uint8Array)) return this.wrong(name, 'bytes');
    // An element of an array is eight bytes as a rule.
    this.budget.spend(Math.ceil(value.length / 8));
    return value;
  }

  textOr(name: string, otherwise: string): string {
    return this.isNone(name) ? otherwise : this.text(name);
  }

  /** One of a few texts; another one is a setting that is not supported. */
  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const text = this.text(name);
    const found = allowed.find((candidate) => candidate === text);
    return found ?? this.unsupported(`has ${name}="${text.slice(0, 100)}", which is not supported`);
  }

  flag(name: string): boolean {
    const value = this.attribute(name);
    if (typeof value === 'boolean') return value;
    return value === 0 || value === 1 ? value === 1 : this.wrong(name, 'True or False');
  }

  flagOr(name: string, otherwise: boolean): boolean {
    return this.isNone(name) ? otherwise : this.flag(name);
  }

  array(name: string): NdArray {
    const value = this.attribute(name);
    if (!(value instanceof NdArray)) return this.wrong(name, 'an array');
    this.budget.spend(value.size);
    return value;
  }

  /** Numbers of an array of any shape, of a list of numbers, or one number. */
  vector(name: string, length?: number): Float64Array {
    const data = this.numbersOf(this.attribute(name), name);
    if (length !== undefined && data.length !== length) {
      this.damaged(`has ${data.length} numbers in ${name} where ${length} are expected`);
    }
    return data;
  }

  /** An array of two dimensions (of one: a single row), or a sparse matrix of SciPy. */
  matrix(name: string, rows?: number, columns?: number): Matrix {
    const matrix = this.matrixOf(this.attribute(name), name);
    if (
      (rows !== undefined && rows !== matrix.rows) ||
      (columns !== undefined && columns !== matrix.columns)
    ) {
      this.damaged(
        `has ${name} of shape [${matrix.rows}, ${matrix.columns}] where [${rows ?? 'any'}, ${columns ?? 'any'}] is expected`,
      );
    }
    return matrix;
  }

  matrices(name: string): Matrix[] {
    return this.list(name).map((item, i) => this.matrixOf(item, `${name}[${i}]`));
  }

  vectors(name: string): Float64Array[] {
    return this.list(name).map((item, i) => this.numbersOf(item, `${name}[${i}]`));
  }

  /** Labels of classes, one at least, or other values that labels may be. */
  labels(name: string): Labels {
    const labels = labelsOf(this.attribute(name), this, name);
    if (name === 'classes_' && labels.values.length === 0) this.damaged('has no class in classes_');
    return labels;
  }

  strings(name: string): string[] {
    const { dtype, values } = this.labels(name);
    if (dtype !== 'BYTES' && values.length > 0) return this.wrong(name, 'a list of strings');
    return values.map(String);
  }

  /** The items of a list, a tuple, a set or an array of objects. */
  list(name: string): PyValue[] {
    return itemsOf(this.attribute(name)) ?? this.wrong(name, 'a list');
  }

  fitted(name: string): Fitted {
    return this.inner(this.attribute(name), name);
  }

  fittedList(name: string): Fitted[] {
    return this.list(name).map((item, i) => this.inner(item, `${name}[${i}]`));
  }

  /** An object inside this one, `name` says where. */
  inner(value: PyValue | undefined, name: string): Fitted {
    if (!(value instanceof PyObject)) return this.wrong(name, 'a fitted object');
    return new Fitted(value, `${this.path}.${name}`, this.budget, this.sklearn, this.depth + 1);
  }

  wrong(name: string, wanted: string): never {
    return this.damaged(`has ${name} that is not ${wanted}`);
  }

  private numbersOf(value: PyValue, name: string): Float64Array {
    if (value instanceof NdArray) {
      if (!'biuf'.includes(value.dtype.kind)) {
        if (value.dtype.kind === 'O') return this.numbersOf(value.objects(), name);
        return this.wrong(name, 'an array of numbers');
      }
      this.budget.spend(value.size);
      return value.numbers();
    }
    const single = numberIn(value);
    if (single !== undefined) return Float64Array.of(single);
    const items = itemsOf(value) ?? this.wrong(name, 'an array of numbers');
    this.budget.spend(items.length);
    return Float64Array.from(items, (item) => numberIn(item) ?? this.wrong(name, 'all numbers'));
  }

  private matrixOf(value: PyValue, name: string): Matrix {
    if (value instanceof PyObject) return this.sparseMatrix(this.inner(value, name));
    if (!(value instanceof NdArray)) return this.wrong(name, 'an array');
    const [first = 1, second] = value.shape;
    if (value.shape.length > 2) return this.wrong(name, 'an array of two dimensions');
    // A side may be of any length where the other is 0.
    this.budget.spend(value.shape.reduce((sum, length) => sum + length, 0));
    const data = this.numbersOf(value, name);
    return second === undefined
      ? { rows: 1, columns: data.length, data }
      : { rows: first, columns: second, data };
  }

  /** `scipy.sparse` in rows or columns. */
  private sparseMatrix(sparse: Fitted): Matrix {
    if (!/^cs[rc]_(matrix|array)$/.test(sparse.class)) {
      return sparse.unsupported('is no array that is supported');
    }
    const [rows = 0, columns = 0] = sparse.vector(sparse.oneNamed('_shape', 'shape'), 2);
    this.budget.spend(rows * columns);
    const byRow = sparse.class.startsWith('csr');
    const starts = sparse.vector('indptr', (byRow ? rows : columns) + 1);
    const indices = sparse.vector('indices');
    const values = sparse.vector('data', indices.length);
    const data = new Float64Array(rows * columns);
    for (let major = 0; major + 1 < starts.length; major++) {
      const end = Math.min(starts[major + 1] ?? 0, indices.length);
      for (let i = starts[major] ?? 0; i < end; i++) {
        const minor = indices[i] ?? -1;
        if (minor < 0 || minor >= (byRow ? columns : rows)) sparse.damaged('has an index outside');
        const at = byRow ? major * columns + minor : minor * columns + major;
        data[at] = (data[at] ?? 0) + (values[i] ?? 0);
      }
    }
    return { rows, columns, data };
  }
}

function releaseOf(version: PyValue | undefined): Release | undefined {
  const match = typeof version === 'string' ? /^(\d{1,4})\.(\d{1,4})/.exec(version) : null;
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}
