import { elementCount, elementSize, newData, viewData, type TensorData } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { WireReader } from '../protobuf.js';
import type { TfTensor, TfType } from '../tensorflow/tf-graph.js';
import { isTensorType, typeOfNumber } from '../tensorflow/tf-types.js';

/** Bytes that constants may have beyond those in the file: a list that is too short repeats its last element. */
const MOST_REPEATED = 256 * 2 ** 20;
const MOST_DIMENSIONS = 254;

/** What the constants of a model may still take by repeating. */
export interface ConstantBudget {
  repeated: number;
}

export function constantBudget(): ConstantBudget {
  return { repeated: MOST_REPEATED };
}

/** A TensorShapeProto; undefined: of any rank. */
export function readShape(reader: WireReader): number[] | undefined {
  const shape: number[] = [];
  let known = true;
  while (reader.next()) {
    if (reader.field === 2) {
      const dimension = reader.message('a dimension');
      let size = 0;
      while (dimension.next())
        if (dimension.field === 1) size = dimension.integer();
        else dimension.skip();
      shape.push(Math.max(-1, size));
      if (shape.length > MOST_DIMENSIONS) reader.fail('a shape has too many dimensions');
    } else if (reader.field === 3) known = reader.integer() === 0;
    else reader.skip();
  }
  return known ? shape : undefined;
}

/** A TensorProto. Its elements are read when they are asked for, so that what nothing needs costs nothing. */
export function readTensor(reader: WireReader, budget: ConstantBudget): TfTensor {
  const lists = new ElementLists();
  let dtype: TfType = 'DT_INVALID';
  let shape: number[] | undefined = [];
  while (reader.next()) {
    if (reader.field === 1) dtype = typeOfNumber(reader.integer());
    else if (reader.field === 2) shape = readShape(reader.message('the shape of a tensor'));
    else lists.read(reader);
  }
  if (!shape || shape.includes(-1)) reader.fail('a constant has no definite shape');
  return new TensorOfProto(dtype, shape ?? [], lists, budget);
}

/** The typed lists of a TensorProto, only one of which is used. */
class ElementLists {
  content: Uint8Array | undefined;
  readonly floats: number[] = [];
  readonly doubles: number[] = [];
  readonly integers: number[] = [];
  readonly longs: bigint[] = [];
  readonly texts: Uint8Array[] = [];

  read(reader: WireReader): void {
    switch (reader.field) {
      case 4:
        this.content = reader.view();
        return;
      case 5:
      case 9:
        reader.float32s(this.floats);
        return;
      case 6:
      case 12:
        this.addDoubles(reader.fixedBytes(8));
        return;
      case 7:
      case 11:
      case 13:
      case 16:
        reader.integers(this.integers);
        return;
      case 8:
        this.texts.push(reader.view());
        return;
      case 10:
      case 17:
        reader.int64s(this.longs);
        return;
      default:
        reader.skip();
    }
  }

  private addDoubles(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 8) this.doubles.push(view.getFloat64(at, true));
  }

  of(dtype: TfType): ArrayLike<number | bigint> {
    if (dtype === 'FP32' || dtype === 'DT_COMPLEX64') return this.floats;
    if (dtype === 'FP64' || dtype === 'DT_COMPLEX128') return this.doubles;
    return dtype === 'INT64' || dtype === 'UINT64' ? this.longs : this.integers;
  }
}

class TensorOfProto implements TfTensor {
  private elements: TensorData | undefined;

  constructor(
    readonly dtype: TfType,
    readonly shape: number[],
    private readonly lists: ElementLists,
    private readonly budget: ConstantBudget,
  ) {}

  get data(): TensorData {
    this.elements ??= this.dtype === 'BYTES' ? this.texts() : this.numbers();
    return this.elements;
  }

  private texts(): TensorData {
    const count = elementCount(this.shape);
    const { texts, content } = this.lists;
    if (content && content.length > 0)
      throw new UnsupportedModel(
        'A constant of strings in one piece (tensor_content) is not read.',
      );
    this.mayHave(count, texts.length, 16);
    const elements = texts.map(textOf);
    const last = elements.at(-1) ?? '';
    while (elements.length < count) elements.push(last);
    return elements;
  }

  private numbers(): TensorData {
    const { dtype, shape, lists } = this;
    const complex = dtype === 'DT_COMPLEX64' || dtype === 'DT_COMPLEX128';
    const parts = complex ? (dtype === 'DT_COMPLEX64' ? 'FP32' : 'FP64') : dtype;
    if (!isTensorType(parts) || parts === 'BYTES')
      throw new UnsupportedModel(`Constants of the type ${dtype} are not supported.`);
    const count = elementCount(shape) * (complex ? 2 : 1);
    const size = elementSize(parts);
    if (lists.content && lists.content.length > 0) {
      if (lists.content.length !== count * size)
        throw new DamagedModel(
          `A constant of the shape [${shape.join(', ')}] has ${lists.content.length} bytes and must have ${count * size}.`,
        );
      return numbersOf(lists.content, parts, count);
    }
    const given = lists.of(dtype);
    this.mayHave(count, given.length, size);
    const data = newData(parts, count);
    if (Array.isArray(data)) throw new Error(`${parts} has no numbers`);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
      for (let i = 0; i < given.length; i++) data[i] = BigInt(given[i] ?? 0);
      if (given.length > 0) data.fill(data[given.length - 1] ?? 0n, given.length);
      return data;
    }
    for (let i = 0; i < given.length; i++) data[i] = Number(given[i]);
    const unit = complex ? 2 : 1;
    if (given.length >= unit)
      for (let i = given.length; i < count; i++) data[i] = data[i - unit] ?? 0;
    return data;
  }

  private mayHave(count: number, given: number, size: number): void {
    const { shape, budget } = this;
    if (given > count)
      throw new DamagedModel(
        `A constant of the shape [${shape.join(', ')}] has ${given} elements, which is too many.`,
      );
    budget.repeated -= (count - given) * size;
    if (budget.repeated < 0)
      throw new UnsupportedModel(
        `The constants of the model repeat their elements to more than ${MOST_REPEATED / 2 ** 20} MiB, at last to the shape [${shape.join(', ')}].`,
      );
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A string where the bytes are UTF-8, else the bytes. */
export function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

/** Little-endian numbers as they lie in a file: a view where they are aligned, else a copy. */
export function numbersOf(
  bytes: Uint8Array,
  dtype: Parameters<typeof elementSize>[0],
  count: number,
): Exclude<TensorData, unknown[]> {
  const aligned = bytes.byteOffset % elementSize(dtype) === 0;
  const own = aligned ? bytes : new Uint8Array(bytes);
  return viewData(dtype, own.buffer, own.byteOffset, count);
}
