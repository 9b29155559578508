import { type DType, DTYPES, isDType, type Tensor } from '#program';
import { CodecError, excerpt } from './codec-error.js';
import { createSink, type TensorSink } from './tensor-sink.js';

export interface TensorLimits {
  /** Most rows (first dimension) of a tensor. */
  maxRows: number;
}

/** ONNX Runtime, NumPy and TensorFlow allow at most 32, 64 and 254 dimensions; models use a handful. */
const MAX_RANK = 32;
const MAX_TENSORS = 10_000;
const MAX_DIMENSION = 2 ** 31 - 1;

/**
 * Reads a list of V2 tensors, in the order given, each name once.
 *
 * @param pointer JSON pointer to the list.
 * @throws CodecError with the pointer to the first fault.
 */
export function readTensors(json: unknown, pointer: string, limits: TensorLimits): Tensor[] {
  if (!Array.isArray(json)) {
    throw new CodecError(
      pointer,
      `${pointer || 'The document'} is ${excerpt(json)}; expected a list of tensors { name, shape, datatype, data }.`,
    );
  }
  if (json.length > MAX_TENSORS) {
    throw new CodecError(
      pointer,
      `${pointer} has ${json.length} tensors; at most ${MAX_TENSORS} are taken.`,
    );
  }
  const tensors: Tensor[] = [];
  for (let i = 0; i < json.length; i++) {
    tensors.push(new TensorReader(json[i], pointer, i, limits).read());
  }
  if (tensors.length > 1) refuseTwins(tensors, pointer);
  return tensors;
}

export function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function refuseTwins(tensors: Tensor[], pointer: string): void {
  const seen = new Map<string, number>();
  for (const [i, { name }] of tensors.entries()) {
    const twin = seen.get(name);
    if (twin !== undefined) {
      throw new CodecError(
        `${pointer}/${i}/name`,
        `${pointer}/${i} and ${pointer}/${twin} are both named ${excerpt(name)}; each name may stand once.`,
      );
    }
    seen.set(name, i);
  }
}

/** Reads one tensor; keeps its place apart, so that pointers are only written for errors. */
class TensorReader {
  private shape: number[] = [];
  private sink: TensorSink;

  constructor(
    private readonly json: unknown,
    private readonly pointer: string,
    private readonly index: number,
    private readonly limits: TensorLimits,
  ) {}

  read(): Tensor {
    const json = this.json;
    if (!isObject(json)) {
      throw this.fault('', `is ${excerpt(json)}; expected { name, shape, datatype, data }`);
    }
    const name = json['name'];
    if (typeof name !== 'string' || name === '') {
      throw this.fault('/name', `is ${excerpt(name)}; expected the name of the tensor`);
    }
    const dtype = json['datatype'];
    if (!isDType(dtype)) throw this.unknownDtype(dtype);
    const size = this.readShape(json['shape']);
    const parameters = this.readParameters(json['parameters']);
    const base64 = dtype === 'BYTES' && parameters?.['content_type'] === 'base64';
    this.readData(json['data'], dtype, size, base64);
    const tensor: Tensor = { name, dtype, shape: this.shape, data: this.sink.data };
    if (parameters === undefined) return tensor;
    const kept = base64 ? without(parameters, 'content_type') : parameters;
    if (kept !== undefined) tensor.parameters = kept;
    return tensor;
  }

  /** Checks the shape and answers how many elements it has. */
  private readShape(shape: unknown): number {
    if (!Array.isArray(shape)) {
      throw this.fault('/shape', `is ${excerpt(shape)}; expected a list of sizes, such as [1, 4]`);
    }
    if (shape.length > MAX_RANK) {
      throw this.fault(
        '/shape',
        `has ${shape.length} dimensions; at most ${MAX_RANK} are supported`,
      );
    }
    let size = 1;
    for (let i = 0; i < shape.length; i++) {
      const dimension: unknown = shape[i];
      if (
        typeof dimension !== 'number' ||
        !Number.isInteger(dimension) ||
        dimension < 0 ||
        dimension > MAX_DIMENSION
      ) {
        throw this.fault(
          `/shape/${i}`,
          `is ${excerpt(dimension)}; expected a size from 0 to ${MAX_DIMENSION}, all known: requests have no free dimension`,
        );
      }
      size *= dimension;
    }
    this.shape = shape;
    const rows = this.shape[0];
    if (rows !== undefined && rows > this.limits.maxRows) {
      throw this.fault(
        '/shape/0',
        `is ${rows} rows; at most ${this.limits.maxRows} are answered in one request. Send them in parts`,
      );
    }
    return size;
  }

  private readParameters(parameters: unknown): Record<string, unknown> | undefined {
    if (parameters === undefined || parameters === null) return undefined;
    if (!isObject(parameters)) {
      throw this.fault('/parameters', `is ${excerpt(parameters)}; expected an object`);
    }
    if (Object.hasOwn(parameters, 'binary_data_size')) {
      throw this.fault(
        '/parameters/binary_data_size',
        'asks for binary tensor data, which is not supported here; send the elements as JSON in "data"',
      );
    }
    return parameters;
  }

  private readData(data: unknown, dtype: DType, size: number, base64: boolean): void {
    const rank = this.shape.length;
    if (!Array.isArray(data)) {
      if (rank > 0 || data === undefined || data === null) {
        throw this.fault('/data', `is ${excerpt(data)}; expected a list of ${size} elements`);
      }
      this.sink = createSink(dtype, 1, base64);
      this.fill([data], 0, '');
      return;
    }
    const nested = rank > 1 && Array.isArray(data[0]);
    if (!nested && data.length !== size) throw this.wrongCount(data, size);
    // The sink is as large as the shape says only where so many elements came: in a flat list, or row by row below.
    if (nested) this.checkNesting(data, 0, '/data');
    this.sink = createSink(dtype, size, base64);
    if (nested) this.fillNested(data, 0, 0, '/data');
    else this.fill(data, 0, '/data');
  }

  /** Checks that lists have the lengths that the shape says, down to the rows of elements. */
  private checkNesting(list: readonly unknown[], depth: number, place: string): void {
    const expected = this.shape[depth] ?? 0;
    if (list.length !== expected) {
      throw this.fault(
        place,
        `has ${list.length} elements; the shape ${this.shapeText()} says ${expected} here`,
      );
    }
    if (depth === this.shape.length - 1) return;
    for (let i = 0; i < list.length; i++) {
      const inner = list[i];
      if (!Array.isArray(inner)) {
        throw this.fault(
          `${place}/${i}`,
          `is ${excerpt(inner)} beside lists; expected a list of ${this.shape[depth + 1]}, as the shape ${this.shapeText()} says, or one flat list`,
        );
      }
      // Rows of the last dimension are checked here, where their place need not be written down.
      if (depth === this.shape.length - 2 && inner.length === this.shape[depth + 1]) continue;
      this.checkNesting(inner, depth + 1, `${place}/${i}`);
    }
  }

  /** Copies what `checkNesting` let pass; answers the offset behind it. */
  private fillNested(
    list: readonly unknown[],
    depth: number,
    offset: number,
    place: string,
  ): number {
    if (depth === this.shape.length - 1) {
      this.fill(list, offset, place);
      return offset + list.length;
    }
    const last = depth === this.shape.length - 2;
    let at = offset;
    for (let i = 0; i < list.length; i++) {
      const inner = list[i];
      if (!Array.isArray(inner)) continue;
      if (last) {
        const bad = this.sink.fill(inner, at);
        if (bad >= 0) throw this.badElement(inner, bad, `${place}/${i}`);
        at += inner.length;
      } else {
        at = this.fillNested(inner, depth + 1, at, `${place}/${i}`);
      }
    }
    return at;
  }

  private fill(values: readonly unknown[], offset: number, place: string): void {
    const bad = this.sink.fill(values, offset);
    if (bad >= 0) throw this.badElement(values, bad, place);
  }

  private badElement(values: readonly unknown[], index: number, place: string): CodecError {
    const value = values[index];
    const where = place === '' ? '/data' : `${place}/${index}`;
    if (Array.isArray(value)) {
      return this.fault(
        where,
        `is a list where the shape ${this.shapeText()} has elements; nest the data as the shape says, or send one flat list`,
      );
    }
    return this.fault(where, this.sink.explain(value));
  }

  private wrongCount(data: readonly unknown[], size: number): CodecError {
    return this.fault(
      '/data',
      `has ${data.length} elements; the shape ${this.shapeText()} says ${size}`,
    );
  }

  private unknownDtype(dtype: unknown): CodecError {
    return this.fault('/datatype', `is ${excerpt(dtype)}; expected one of ${DTYPES.join(', ')}`);
  }

  private shapeText(): string {
    return `[${this.shape.join(', ')}]`;
  }

  private fault(place: string, message: string): CodecError {
    const pointer = `${this.pointer}/${this.index}${place}`;
    const name = isObject(this.json) ? this.json['name'] : undefined;
    const of = typeof name === 'string' && name !== '' ? ` (tensor ${excerpt(name)})` : '';
    return new CodecError(pointer, `${pointer}${of} ${message}.`);
  }
}

function without(
  parameters: Record<string, unknown>,
  name: string,
): Record<string, unknown> | undefined {
  const kept = Object.entries(parameters).filter(([key]) => key !== name);
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}
