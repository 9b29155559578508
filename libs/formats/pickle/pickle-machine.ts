import { DamagedModel } from '../importer.js';
import type { Budget } from './budget.js';
import { NdArray, PyDict, PyGlobal, PyObject, PySet, PyTuple, type PyValue } from './records.js';
import type { Latin1Text } from './texts.js';

/** A class or function that a file names. */
export interface GlobalUse {
  module: string;
  name: string;
  /** `module.name` */
  id: string;
  /** Whether loading the file would call it, or make an object of it. */
  called: boolean;
  /** Where it is named first: offset in the (decompressed) pickle. */
  position: number;
}

/** Bytes of a file that was uploaded beside this one, by its name there. */
export type SiblingFile = (name: string) => Uint8Array | undefined;

/** The input ends before the pickle does: more of it could make it whole. */
export class CutOff extends DamagedModel {}

/** Stands among the names for a call of what is no name: nobody knows what it would be. */
export const COMPUTED = '(a call of what a call gave)';

/** The most characters of the name of a module or class. */
const MOST_NAME = 512;

const NO_FRAME = -1;

/** What pickles inside one another share. */
interface Shared {
  budget: Budget;
  globals: Map<string, GlobalUse>;
  sibling?: SiblingFile;
  /** The last long text, which in protocol 2 is turned into bytes next. */
  longText?: Latin1Text;
}

/** The state of CPython's unpickler: input, stack, marks, memo. The opcodes work on it. */
export class PickleMachine {
  position: number;
  stopped = false;
  /** A pickle that begins here and must be read before this one goes on. */
  inner: PickleMachine | undefined;
  readonly stack: PyValue[] = [];
  private readonly marks: number[] = [];
  private floor = 0;
  private readonly memo: PyValue[] = [];
  private readonly sparseMemo = new Map<number, PyValue>();
  private frameEnd = NO_FRAME;
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    start: number,
    readonly shared: Shared,
    private readonly outer?: PickleMachine,
    private readonly depth = 0,
  ) {
    this.position = start;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get budget(): Budget {
    return this.shared.budget;
  }

  damaged(message: string): never {
    throw new DamagedModel(message);
  }

  // --- input

  nextOpcode(): number {
    this.budget.opcode();
    if (this.frameEnd !== NO_FRAME && this.position >= this.frameEnd) {
      if (this.position > this.frameEnd)
        this.damaged('the opcode before crosses the end of its FRAME');
      this.frameEnd = NO_FRAME;
    }
    return this.uint8();
  }

  /** Moves over `count` bytes and answers where they begin. */
  take(count: number): number {
    const start = this.position;
    if (!(count >= 0 && start + count <= this.bytes.length)) {
      throw new CutOff(`${count} bytes are needed, the file has ${this.bytes.length - start} more`);
    }
    this.position = start + count;
    return start;
  }

  uint8(): number {
    return this.view.getUint8(this.take(1));
  }

  uint16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  int32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  uint32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** A length: one beyond the file is refused before it is used. */
  uint64(): number {
    const value = this.view.getBigUint64(this.take(8), true);
    return value <= BigInt(this.bytes.length)
      ? Number(value)
      : this.damaged(`${value} bytes are more than the file has`);
  }

  float64(): number {
    return this.view.getFloat64(this.take(8), false);
  }

  /** A view of the next bytes. */
  data(count: number): Uint8Array {
    const start = this.take(count);
    this.budget.memory(160);
    return this.bytes.subarray(start, start + count);
  }

  /** Up to the end of the line, which is not answered. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new CutOff('a line does not end');
    this.budget.check('line', end - this.position);
    const start = this.take(end - this.position + 1);
    return this.bytes.subarray(start, end);
  }

  /** FRAME: what follows is a unit that no opcode may cross. */
  frame(length: number): void {
    if (this.frameEnd !== NO_FRAME) this.damaged('a FRAME begins inside another');
    if (this.position + length > this.bytes.length) {
      throw new CutOff('the FRAME is longer than the file');
    }
    this.frameEnd = this.position + length;
  }

  // --- stack

  push(value: PyValue): void {
    this.stack.push(value);
    this.budget.check('stack', this.stack.length);
  }

  pop(): PyValue {
    if (this.stack.length <= this.floor) this.damaged('the stack is empty');
    const value = this.stack.pop();
    return value === undefined ? null : value;
  }

  top(): PyValue {
    if (this.stack.length <= this.floor) this.damaged('the stack is empty');
    return this.stack[this.stack.length - 1] ?? null;
  }

  replaceTop(value: PyValue): void {
    this.stack[this.stack.length - 1] = value;
  }

  mark(): void {
    this.marks.push(this.stack.length);
    this.budget.check('marks', this.marks.length);
    this.floor = this.stack.length;
  }

  /** All above the last mark, and removes the mark. */
  popToMark(): PyValue[] {
    const at = this.marks.pop();
    if (at === undefined) return this.damaged('there is no mark');
    this.floor = this.marks[this.marks.length - 1] ?? 0;
    return this.stack.splice(at);
  }

  /** POP removes a mark where that is on top. */
  discard(): void {
    if (this.marks.length > 0 && this.stack.length === this.floor) this.popToMark();
    else this.pop();
  }

  stop(): void {
    if (this.frameEnd !== NO_FRAME && this.position !== this.frameEnd) {
      this.damaged('the pickle ends inside a FRAME');
    }
    if (this.marks.length > 0) this.damaged('the pickle ends with an open mark');
    this.top();
    this.stopped = true;
  }

  result(): PyValue {
    return this.top();
  }

  // --- memo

  put(index: number, value: PyValue): void {
    if (index < this.memo.length) {
      this.memo[index] = value;
    } else if (index === this.memo.length && this.sparseMemo.size === 0) {
      // A dense list: growing a Map to millions of entries can end the whole process.
      this.budget.check('memo', index);
      this.budget.memory(16);
      this.memo.push(value);
    } else {
      this.sparseMemo.set(index, value);
      this.budget.memory(48);
      this.budget.check('sparseMemo', this.sparseMemo.size);
    }
  }

  /** MEMOIZE numbers by how many entries there are. */
  memoize(): void {
    this.put(this.memo.length + this.sparseMemo.size, this.top());
  }

  get(index: number): PyValue {
    const value = index < this.memo.length ? this.memo[index] : this.sparseMemo.get(index);
    return value === undefined ? this.damaged(`the memo has no entry ${index}`) : value;
  }

  // --- names and calls

  global(module: PyValue, name: PyValue): PyGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') {
      return this.damaged('the name of a class or function is not a text');
    }
    if (module.length > MOST_NAME || name.length > MOST_NAME) {
      this.damaged(`the name of a class or function has more than ${MOST_NAME} characters`);
    }
    this.use(module, name);
    this.budget.memory(64);
    return new PyGlobal(module, name);
  }

  /** Notes that loading would call this. Throws unless it is something that could be called. */
  callable(value: PyValue | undefined): PyGlobal | PyObject {
    if (value instanceof PyGlobal) this.use(value.module, value.name).called = true;
    else if (value instanceof PyObject) this.use('', COMPUTED).called = true;
    else return this.damaged('what is called is not a class or function');
    return value;
  }

  private use(module: string, name: string): GlobalUse {
    const { globals } = this.shared;
    const key = `${module}\0${name}`;
    const known = globals.get(key);
    if (known) return known;
    const id = module ? `${module}.${name}` : name;
    const use = { module, name, id, called: false, position: this.position };
    globals.set(key, use);
    this.budget.check('globals', globals.size);
    return use;
  }

  make(
    how: PyObject['how'],
    callable: PyValue | undefined,
    args: PyValue,
    kwargs?: PyValue,
  ): PyObject {
    if (!(args instanceof PyTuple)) return this.damaged('the arguments are not a tuple');
    if (kwargs !== undefined && !(kwargs instanceof PyDict)) {
      return this.damaged('the named arguments are not a dict');
    }
    this.budget.memory(280);
    return new PyObject(how, this.callable(callable), args, kwargs);
  }

  /** APPENDS and ADDITEMS. */
  append(target: PyValue, values: PyValue[]): void {
    const items =
      target instanceof PyObject || target instanceof PySet
        ? target.items
        : Array.isArray(target)
          ? target
          : this.damaged('items are added to what is no list');
    this.budget.memory(12 * values.length);
    for (const value of values) items.push(value);
  }

  /** SETITEMS: keys and values by turns. */
  setItems(target: PyValue, values: PyValue[]): void {
    if (!(target instanceof PyDict || target instanceof PyObject)) {
      this.damaged('items are set of what is no dict');
    }
    if (values.length % 2 !== 0) this.damaged('a key has no value');
    this.budget.memory(36 * values.length);
    for (let i = 0; i < values.length; i += 2) {
      target.entries.push([values[i] ?? null, values[i + 1] ?? null]);
    }
  }

  // --- pickles inside this one

  /** Reads a pickle that begins here before this one goes on; its root, an array, takes the place of the top. */
  begin(): void {
    this.budget.check('nested', this.depth + 1);
    this.leaveFrame();
    this.inner = new PickleMachine(this.bytes, this.position, this.shared, this, this.depth + 1);
  }

  returnToOuter(): PickleMachine {
    const { outer } = this;
    const root = this.result();
    if (!outer) return this.damaged('there is no pickle around this one');
    if (!(root instanceof NdArray)) return this.damaged('the pickle of an array is something else');
    outer.position = this.position;
    outer.inner = undefined;
    outer.replaceTop(root);
    return outer;
  }

  /** Raw bytes follow only where a frame has ended: joblib ends it before it writes an array. */
  leaveFrame(): void {
    if (this.frameEnd === NO_FRAME) return;
    if (this.position !== this.frameEnd) this.damaged('the bytes of an array begin inside a FRAME');
    this.frameEnd = NO_FRAME;
  }
}
