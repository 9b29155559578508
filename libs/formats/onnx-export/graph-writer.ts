import type { DType, TensorSpec } from '#program';
import { Message } from './message.js';

/** A table `[rows, columns]` of the graph. Columns of the Program, `[rows]`, are tables of one column here. */
export interface Table {
  name: string;
  dtype: DType;
  columns: number;
}

/** TensorProto.DataType of onnx.proto. */
const TYPES: Record<DType, number> = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
};

/** IR version, and the versions of both sets of operators that are used: those of ONNX 1.16. */
const IR_VERSION = 10;
const OPERATORS = 21;
const MACHINE_LEARNING = 5;
const ML_DOMAIN = 'ai.onnx.ml';

export type Attribute = number | string[] | number[] | Int32Array | Message;

/** What a reader of protobuf takes. */
const LARGEST = 2 ** 31 - 1;

/** Writes an ONNX graph, node after node; every value gets a name that no input and no output has. */
export class GraphWriter {
  private readonly fields = new Message();
  private readonly ends = new Message();
  private readonly scalars = new Map<string, string>();
  private made = 0;
  private usesMachineLearning = false;

  constructor(private readonly taken: ReadonlySet<string>) {}

  /** Adds a node of one output and answers the name of it. */
  op(operator: string, inputs: string[], attributes: Record<string, Attribute> = {}): string {
    const [output] = this.ops(operator, inputs, 1, attributes);
    return output ?? '';
  }

  /** The same with several outputs. */
  ops(
    operator: string,
    inputs: string[],
    outputs: number,
    attributes: Record<string, Attribute> = {},
  ): string[] {
    const names = Array.from({ length: outputs }, () => this.freshName());
    this.node(operator, inputs, names, attributes, '');
    return names;
  }

  /** A node of ai.onnx.ml. */
  learned(operator: string, inputs: string[], attributes: Record<string, Attribute>): string {
    const name = this.freshName();
    this.usesMachineLearning = true;
    this.node(operator, inputs, [name], attributes, ML_DOMAIN);
    return name;
  }

  /** A constant; numbers are converted to the dtype. */
  constant(dtype: DType, shape: number[], values: ArrayLike<number | bigint | string>): string {
    const name = this.freshName();
    this.fields.message(5, tensor(dtype, shape, values).text(8, name));
    return name;
  }

  /** A constant without dimensions. */
  scalar(dtype: DType, value: number | string): string {
    const key = `${dtype} ${Object.is(value, -0) ? '-0' : value}`;
    const known = this.scalars.get(key);
    if (known !== undefined) return known;
    const name = this.constant(dtype, [], [value]);
    this.scalars.set(key, name);
    return name;
  }

  cast(name: string, to: DType): string {
    return this.op('Cast', [name], { to: TYPES[to] });
  }

  /** The table in another dtype. */
  as(table: Table, dtype: DType): Table {
    return table.dtype === dtype ? table : { ...table, dtype, name: this.cast(table.name, dtype) };
  }

  /** Columns of a table by their indices. */
  take(table: Table, columns: ArrayLike<number>): Table {
    const indices = this.constant('INT64', [columns.length], columns);
    const name = this.op('Gather', [table.name, indices], { axis: 1 });
    return { ...table, name, columns: columns.length };
  }

  /** Tables of one dtype side by side. */
  join(tables: Table[]): Table {
    const [first, ...others] = tables;
    if (!first) throw new Error('no tables to join');
    if (others.length === 0) return first;
    const columns = tables.reduce((sum, table) => sum + table.columns, 0);
    const name = this.op(
      'Concat',
      tables.map((table) => table.name),
      { axis: 1 },
    );
    return { ...first, name, columns };
  }

  /** The sum of each row. */
  rowSum(table: Table): Table {
    const axes = this.constant('INT64', [1], [1]);
    return { ...table, name: this.op('ReduceSum', [table.name, axes]), columns: 1 };
  }

  /** An input of the signature as a table. */
  input({ name, dtype, shape }: TensorSpec): Table {
    this.ends.message(11, valueInfo(name, dtype, shape));
    const axis = () => this.constant('INT64', [1], [1]);
    const own = shape.length === 1 ? this.op('Unsqueeze', [name, axis()]) : name;
    return { name: own, dtype, columns: shape.length === 1 ? 1 : (shape[1] ?? 1) };
  }

  output({ name, dtype, shape }: TensorSpec, table: Table): void {
    this.ends.message(12, valueInfo(name, dtype, shape));
    const own = this.as(table, dtype).name;
    if (shape.length === 1)
      this.node('Reshape', [own, this.constant('INT64', [1], [-1])], [name], {}, '');
    else this.node('Identity', [own], [name], {}, '');
  }

  /** The file. Throws RangeError where it is too large for one. */
  toModel(producer: string): Uint8Array {
    const graph = new Message().text(2, 'model').append(this.fields).append(this.ends);
    const model = new Message()
      .integer(1, IR_VERSION)
      .text(2, producer)
      .message(8, new Message().text(1, '').integer(2, OPERATORS));
    if (this.usesMachineLearning)
      model.message(8, new Message().text(1, ML_DOMAIN).integer(2, MACHINE_LEARNING));
    model.message(7, graph);
    if (model.size > LARGEST)
      throw new RangeError(`The graph has ${model.size} bytes, and ONNX takes ${LARGEST} at most.`);
    return model.toBytes();
  }

  private freshName(): string {
    let name: string;
    do name = `value_${this.made++}`;
    while (this.taken.has(name));
    return name;
  }

  private node(
    operator: string,
    inputs: string[],
    outputs: string[],
    attributes: Record<string, Attribute>,
    domain: string,
  ): void {
    const node = new Message();
    for (const name of inputs) node.text(1, name);
    for (const name of outputs) node.text(2, name);
    node.text(4, operator);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain) node.text(7, domain);
    this.fields.message(1, node);
  }
}

/** A TensorProto without a name. */
export function tensor(
  dtype: DType,
  shape: number[],
  values: ArrayLike<number | bigint | string>,
): Message {
  const message = new Message().integers(1, shape).integer(2, TYPES[dtype]);
  if (dtype === 'BYTES') {
    for (let i = 0; i < values.length; i++) message.text(6, String(values[i]));
    return message;
  }
  return message.bytes(9, rawData(dtype, values));
}

function rawData(dtype: DType, values: ArrayLike<number | bigint | string>): Uint8Array {
  const numbers = () => Array.from(values, Number);
  const data =
    dtype === 'FP64'
      ? Float64Array.from(numbers())
      : dtype === 'FP32'
        ? Float32Array.from(numbers())
        : dtype === 'INT64'
          ? BigInt64Array.from(Array.from(values, BigInt))
          : dtype === 'INT32'
            ? Int32Array.from(numbers())
            : Uint8Array.from(numbers());
  return new Uint8Array(data.buffer);
}

const AttributeType = { integer: 2, tensor: 4, integers: 7, strings: 8 } as const;

function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'number')
    return message.integer(3, value).integer(20, AttributeType.integer);
  if (value instanceof Message) return message.message(5, value).integer(20, AttributeType.tensor);
  if (areTexts(value)) {
    for (const text of value) message.text(9, text);
    return message.integer(20, AttributeType.strings);
  }
  return message.integers(8, value).integer(20, AttributeType.integers);
}

function areTexts(value: string[] | number[] | Int32Array): value is string[] {
  return typeof value[0] === 'string';
}

function valueInfo(name: string, dtype: DType, shape: number[]): Message {
  const dimensions = new Message();
  for (const [i, size] of shape.entries()) {
    const dimension = new Message();
    if (size >= 0) dimension.integer(1, size);
    else dimension.text(2, i === 0 ? 'rows' : `size_${i}`);
    dimensions.message(1, dimension);
  }
  const type = new Message().message(
    1,
    new Message().integer(1, TYPES[dtype]).message(2, dimensions),
  );
  return new Message().text(1, name).message(2, type);
}
