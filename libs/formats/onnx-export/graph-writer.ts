import type { DType, TensorSpec } from '#program';
import { Message } from '../onnx-file/message.js';
import {
  modelBytes,
  nodeMessage,
  ONNX_TYPES,
  tensorMessage,
  valueMessage,
  type OnnxAttribute,
} from '../onnx-file/onnx-messages.js';

/** A table `[rows, columns]` of the graph. Columns of the Program, `[rows]`, are tables of one column here. */
export interface Table {
  name: string;
  dtype: DType;
  columns: number;
}

const ML_DOMAIN = 'ai.onnx.ml';

/** Writes an ONNX graph, node after node; every value gets a name that no input and no output has. */
export class GraphWriter {
  private readonly fields = new Message();
  private readonly ends = new Message();
  private readonly scalars = new Map<string, string>();
  private made = 0;
  private usesMachineLearning = false;

  constructor(private readonly taken: ReadonlySet<string>) {}

  /** Adds a node of one output and answers the name of it. */
  op(operator: string, inputs: string[], attributes: Record<string, OnnxAttribute> = {}): string {
    const [output] = this.ops(operator, inputs, 1, attributes);
    return output ?? '';
  }

  /** The same with several outputs. */
  ops(
    operator: string,
    inputs: string[],
    outputs: number,
    attributes: Record<string, OnnxAttribute> = {},
  ): string[] {
    const names = Array.from({ length: outputs }, () => this.freshName());
    this.node(operator, inputs, names, attributes, '');
    return names;
  }

  /** A node of ai.onnx.ml. */
  learned(operator: string, inputs: string[], attributes: Record<string, OnnxAttribute>): string {
    const name = this.freshName();
    this.usesMachineLearning = true;
    this.node(operator, inputs, [name], attributes, ML_DOMAIN);
    return name;
  }

  /** A constant; numbers are converted to the dtype. */
  constant(dtype: DType, shape: number[], values: ArrayLike<number | bigint | string>): string {
    const name = this.freshName();
    this.fields.message(5, tensorMessage(dtype, shape, values).text(8, name));
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
    return this.op('Cast', [name], { to: ONNX_TYPES[to] });
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
    this.ends.message(11, valueMessage(name, dtype, shape, dimensionName));
    const axis = () => this.constant('INT64', [1], [1]);
    const own = shape.length === 1 ? this.op('Unsqueeze', [name, axis()]) : name;
    return { name: own, dtype, columns: shape.length === 1 ? 1 : (shape[1] ?? 1) };
  }

  output({ name, dtype, shape }: TensorSpec, table: Table): void {
    this.ends.message(12, valueMessage(name, dtype, shape, dimensionName));
    const own = this.as(table, dtype).name;
    if (shape.length === 1)
      this.node('Reshape', [own, this.constant('INT64', [1], [-1])], [name], {}, '');
    else this.node('Identity', [own], [name], {}, '');
  }

  /** The file. Throws RangeError where it is too large for one. */
  toModel(producer: string): Uint8Array {
    const graph = new Message().text(2, 'model').append(this.fields).append(this.ends);
    const domains = this.usesMachineLearning ? [ML_DOMAIN] : [];
    return modelBytes(graph, { producer, domains });
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
    attributes: Record<string, OnnxAttribute>,
    domain: string,
  ): void {
    const node = nodeMessage({ operator, domain, inputs, outputs, attributes });
    this.fields.message(1, node);
  }
}

function dimensionName(axis: number): string {
  return axis === 0 ? 'rows' : `size_${axis}`;
}
