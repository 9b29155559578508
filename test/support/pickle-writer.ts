/** What a pickle can be written of: JavaScript's own for None, bool, int, str, bytes and list, and the classes below. */
export type Py =
  null | boolean | number | string | Uint8Array | Py[] | PyFloat | Tuple | Dict | Global | Made;

class PyFloat {
  constructor(readonly value: number) {}
}
class Tuple {
  constructor(readonly items: Py[]) {}
}
class Dict {
  constructor(readonly entries: [Py, Py][]) {}
}
class Global {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}
}

/** An object: what makes it, and its state. May be changed before it is written, so that it can hold itself. */
export class Made {
  constructor(
    readonly how: 'new' | 'reduce',
    readonly callable: Global,
    readonly args: Tuple,
    public state: Py | undefined,
  ) {}

  withState(state: Py): this {
    this.state = state;
    return this;
  }

  /** Sets an attribute of an object whose state is a dict. */
  set(name: string, value: Py): this {
    if (!(this.state instanceof Dict)) throw new Error('the object has no attributes');
    const entry = this.state.entries.find(([key]) => key === name);
    if (entry) entry[1] = value;
    else this.state.entries.push([name, value]);
    return this;
  }
}

export const float = (value: number): Py => new PyFloat(value);
export const tuple = (...items: Py[]): Tuple => new Tuple(items);
export const dict = (attributes: Record<string, Py>): Dict => new Dict(Object.entries(attributes));
export const global = (id: string): Global => {
  const dot = id.lastIndexOf('.');
  return new Global(id.slice(0, dot), id.slice(dot + 1));
};

/** An object of a class with attributes. */
export const object = (id: string, attributes: Record<string, Py>): Made =>
  new Made('new', global(id), tuple(), dict(attributes));

/** An object that a call makes. */
export const called = (id: string, args: Py[], state?: Py): Made =>
  new Made('reduce', global(id), tuple(...args), state);

const dtype = (code: string): Made =>
  called('numpy.dtype', [code, false, true], tuple(3, '<', null, null, null, -1, -1, 0));

const reconstructed = (type: Made, shape: number[], bytes: Uint8Array): Made =>
  called(
    'numpy.core.multiarray._reconstruct',
    [global('numpy.ndarray'), tuple(0), Uint8Array.of(0x62)],
    tuple(1, tuple(...shape), type, false, bytes),
  );

const CODES = new Map<unknown, string>([
  [Float64Array, 'f8'],
  [Float32Array, 'f4'],
  [BigInt64Array, 'i8'],
  [Int32Array, 'i4'],
  [Uint8Array, 'u1'],
]);

/** An array of numpy; the shape may lie. */
export function array(
  data: Float64Array | Float32Array | BigInt64Array | Int32Array,
  shape: number[] = [data.length],
): Made {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return reconstructed(dtype(CODES.get(data.constructor) ?? ''), shape, bytes);
}

/** An array of texts or other objects. */
export const objects = (items: Py[]): Made =>
  called(
    'numpy.core.multiarray._reconstruct',
    [global('numpy.ndarray'), tuple(0), Uint8Array.of(0x62)],
    tuple(1, tuple(items.length), dtype('O8'), false, items),
  );

/** A structured array: fields of 8 bytes each, by name. */
export function records(columns: Record<string, BigInt64Array | Float64Array>): Made {
  const names = Object.keys(columns);
  const rows = Math.max(...Object.values(columns).map(({ length }) => length));
  const bytes = new Uint8Array(rows * names.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [at, column] of Object.values(columns).entries()) {
    for (const [row, value] of column.entries()) {
      const offset = (row * names.length + at) * 8;
      if (typeof value === 'bigint') view.setBigInt64(offset, value, true);
      else view.setFloat64(offset, value, true);
    }
  }
  const fields = new Dict(
    names.map((name, i) => [
      name,
      tuple(dtype(columns[name] instanceof Float64Array ? 'f8' : 'i8'), i * 8),
    ]),
  );
  const size = names.length * 8;
  const type = called(
    'numpy.dtype',
    [`V${size}`, false, true],
    tuple(3, '|', null, tuple(...names), fields, size, 1, 16),
  );
  return reconstructed(type, [rows], bytes);
}

/** Writes a pickle of protocol 4, or 2, where bytes are texts; an object that comes twice is written once. */
export function writePickle(root: Py, protocol: 2 | 4 = 4): Buffer {
  return new PickleWriter(protocol).write(root);
}

class PickleWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #memo = new Map<object, number>();

  constructor(private readonly protocol: 2 | 4) {}

  write(root: Py): Buffer {
    this.bytes(0x80, this.protocol);
    this.value(root);
    this.text('.');
    return Buffer.concat(this.#parts);
  }

  private value(value: Py): void {
    if (value === null) this.text('N');
    else if (typeof value === 'boolean') this.bytes(value ? 0x88 : 0x89);
    else if (typeof value === 'number') this.integer(value);
    else if (typeof value === 'string') this.unicode(Buffer.from(value));
    else if (value instanceof PyFloat) {
      const data = Buffer.alloc(9, 'G');
      data.writeDoubleBE(value.value, 1);
      this.#parts.push(data);
    } else if (!this.again(value)) this.compound(value);
  }

  private integer(value: number): void {
    if (value === (value | 0)) this.sized('J', value | 0);
    else this.text(`L${value}L\n`);
  }

  private compound(value: Exclude<Py, null | boolean | number | string | PyFloat>): void {
    if (value instanceof Uint8Array) this.data(value);
    else if (value instanceof Global) {
      this.text(`c${value.module}\n${value.name}\n`);
      this.remember(value);
    } else if (value instanceof Tuple) {
      this.text('(');
      for (const item of value.items) this.value(item);
      this.text('t');
      this.remember(value);
    } else if (value instanceof Dict) {
      this.text('}');
      this.remember(value);
      this.text('(');
      for (const item of value.entries.flat()) this.value(item);
      this.text('u');
    } else if (value instanceof Made) this.made(value);
    else {
      this.text(']');
      this.remember(value);
      this.text('(');
      for (const item of value) this.value(item);
      this.text('e');
    }
  }

  private made(value: Made): void {
    this.value(value.callable);
    this.value(value.args);
    if (value.how === 'new') this.bytes(0x81);
    else this.text('R');
    this.remember(value);
    if (value.state === undefined) return;
    this.value(value.state);
    this.text('b');
  }

  private data(value: Uint8Array): void {
    if (this.protocol === 4) {
      this.sized('B', value.length);
      this.#parts.push(value);
    } else {
      this.text('c_codecs\nencode\n');
      this.unicode(Buffer.from(Buffer.from(value).toString('latin1')));
      this.unicode(Buffer.from('latin1'));
      this.bytes(0x86);
      this.text('R');
    }
    this.remember(value);
  }

  private again(value: object): boolean {
    const at = this.#memo.get(value);
    if (at !== undefined) this.sized('j', at);
    return at !== undefined;
  }

  private remember(value: object): void {
    this.sized('r', this.#memo.size);
    this.#memo.set(value, this.#memo.size);
  }

  private unicode(bytes: Uint8Array): void {
    this.sized('X', bytes.length);
    this.#parts.push(bytes);
  }

  private sized(opcode: string, value: number): void {
    const data = Buffer.alloc(5, opcode);
    data.writeInt32LE(value, 1);
    this.#parts.push(data);
  }

  private text(text: string): void {
    this.#parts.push(Buffer.from(text, 'latin1'));
  }

  private bytes(...bytes: number[]): void {
    this.#parts.push(Uint8Array.from(bytes));
  }
}
