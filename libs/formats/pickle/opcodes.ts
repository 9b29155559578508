import { build, reduce } from './constructors.js';
import type { PickleMachine } from './pickle-machine.js';
import { parseFloatLine, parseInteger, parseIntegerLine, parseStringLine } from './literals.js';
import { latin1, rawUnicode, utf8, utf8OfLatin1 } from './texts.js';
import { PyDict, PyFloat, PyPersistentId, PySet, PyTuple, type PyValue } from './records.js';

interface Opcode {
  name: string;
  run(machine: PickleMachine): void;
}

/** Of the highest protocol that there is. */
const HIGHEST_PROTOCOL = 5;

/** Every opcode by its byte, named as in CPython's `pickletools`. */
export const opcodes: readonly (Opcode | undefined)[] = table({
  // protocol and end
  PROTO: [
    0x80,
    (m) => {
      const protocol = m.uint8();
      if (protocol > HIGHEST_PROTOCOL) m.damaged(`protocol ${protocol} is not known`);
    },
  ],
  FRAME: [0x95, (m) => m.frame(m.uint64())],
  STOP: [0x2e, (m) => m.stop()],

  // stack
  MARK: [0x28, (m) => m.mark()],
  POP: [0x30, (m) => m.discard()],
  POP_MARK: [0x31, (m) => void m.popToMark()],
  DUP: [0x32, (m) => m.push(m.top())],

  // constants and numbers
  NONE: [0x4e, (m) => m.push(null)],
  NEWTRUE: [0x88, (m) => m.push(true)],
  NEWFALSE: [0x89, (m) => m.push(false)],
  INT: [0x49, (m) => m.push(parseIntegerLine(latin1(m.line()), m.budget))],
  LONG: [
    0x4c,
    (m) => m.push(parseIntegerLine(latin1(m.line()).replace(/L$/, ''), m.budget, 'LONG')),
  ],
  LONG1: [0x8a, (m) => m.push(parseInteger(m.data(m.uint8()), m.budget))],
  LONG4: [0x8b, (m) => m.push(parseInteger(m.data(m.int32()), m.budget))],
  BININT: [0x4a, (m) => m.push(m.int32())],
  BININT1: [0x4b, (m) => m.push(m.uint8())],
  BININT2: [0x4d, (m) => m.push(m.uint16())],
  FLOAT: [0x46, (m) => pushFloat(m, parseFloatLine(latin1(m.line())))],
  BINFLOAT: [0x47, (m) => pushFloat(m, m.float64())],

  // texts and bytes; those of Python 2 are read one character a byte
  STRING: [0x53, (m) => pushText(m, parseStringLine(latin1(m.line())))],
  BINSTRING: [0x54, (m) => pushText(m, latin1(m.data(m.int32())))],
  SHORT_BINSTRING: [0x55, (m) => pushText(m, latin1(m.data(m.uint8())))],
  UNICODE: [0x56, (m) => pushText(m, rawUnicode(m.line()))],
  BINUNICODE: [0x58, (m) => pushUtf8(m, m.uint32())],
  SHORT_BINUNICODE: [0x8c, (m) => pushUtf8(m, m.uint8())],
  BINUNICODE8: [0x8d, (m) => pushUtf8(m, m.uint64())],
  BINBYTES: [0x42, (m) => m.push(m.data(m.uint32()))],
  SHORT_BINBYTES: [0x43, (m) => m.push(m.data(m.uint8()))],
  BINBYTES8: [0x8e, (m) => m.push(m.data(m.uint64()))],
  BYTEARRAY8: [0x96, (m) => m.push(m.data(m.uint64()))],
  NEXT_BUFFER: [0x97, (m) => m.damaged('buffers outside of the pickle are not supported')],
  READONLY_BUFFER: [0x98, (m) => m.damaged('buffers outside of the pickle are not supported')],

  // tuples, lists, dicts, sets
  EMPTY_TUPLE: [0x29, (m) => pushTuple(m, [])],
  TUPLE1: [0x85, (m) => pushTuple(m, popped(m, 1))],
  TUPLE2: [0x86, (m) => pushTuple(m, popped(m, 2))],
  TUPLE3: [0x87, (m) => pushTuple(m, popped(m, 3))],
  TUPLE: [0x74, (m) => pushTuple(m, m.popToMark())],
  EMPTY_LIST: [0x5d, (m) => pushNew(m, 64, [])],
  LIST: [
    0x6c,
    (m) => {
      const items = m.popToMark();
      pushNew(m, 64 + 8 * items.length, items);
    },
  ],
  APPEND: [
    0x61,
    (m) => {
      const value = m.pop();
      m.append(m.top(), [value]);
    },
  ],
  APPENDS: [
    0x65,
    (m) => {
      const values = m.popToMark();
      m.append(m.top(), values);
    },
  ],
  EMPTY_DICT: [0x7d, (m) => pushNew(m, 240, new PyDict())],
  DICT: [
    0x64,
    (m) => {
      const values = m.popToMark();
      pushNew(m, 240, new PyDict());
      m.setItems(m.top(), values);
    },
  ],
  SETITEM: [
    0x73,
    (m) => {
      const [key = null, value = null] = popped(m, 2);
      m.setItems(m.top(), [key, value]);
    },
  ],
  SETITEMS: [
    0x75,
    (m) => {
      const values = m.popToMark();
      m.setItems(m.top(), values);
    },
  ],
  EMPTY_SET: [0x8f, (m) => pushNew(m, 120, new PySet([], false))],
  ADDITEMS: [
    0x90,
    (m) => {
      const values = m.popToMark();
      m.append(m.top(), values);
    },
  ],
  FROZENSET: [
    0x91,
    (m) => {
      const items = m.popToMark();
      pushNew(m, 120 + 8 * items.length, new PySet(items, true));
    },
  ],

  // memo
  GET: [0x67, (m) => m.push(m.get(memoIndex(m)))],
  BINGET: [0x68, (m) => m.push(m.get(m.uint8()))],
  LONG_BINGET: [0x6a, (m) => m.push(m.get(m.uint32()))],
  PUT: [0x70, (m) => m.put(memoIndex(m), m.top())],
  BINPUT: [0x71, (m) => m.put(m.uint8(), m.top())],
  LONG_BINPUT: [0x72, (m) => m.put(m.uint32(), m.top())],
  MEMOIZE: [0x94, (m) => m.memoize()],

  // names, and what would be made of them
  GLOBAL: [0x63, (m) => m.push(m.global(utf8(m.line()), utf8(m.line())))],
  STACK_GLOBAL: [
    0x93,
    (m) => {
      const [module = null, name = null] = popped(m, 2);
      m.push(m.global(module, name));
    },
  ],
  INST: [
    0x69,
    (m) => {
      const named = m.global(utf8(m.line()), utf8(m.line()));
      m.push(m.make('inst', named, new PyTuple(m.popToMark())));
    },
  ],
  OBJ: [
    0x6f,
    (m) => {
      const [named, ...args] = m.popToMark();
      m.push(m.make('inst', named, new PyTuple(args)));
    },
  ],
  NEWOBJ: [
    0x81,
    (m) => {
      const [named = null, args = null] = popped(m, 2);
      m.push(m.make('new', named, args));
    },
  ],
  NEWOBJ_EX: [
    0x92,
    (m) => {
      const [named = null, args = null, kwargs = null] = popped(m, 3);
      m.push(m.make('new', named, args, kwargs));
    },
  ],
  REDUCE: [
    0x52,
    (m) => {
      const [callable = null, args = null] = popped(m, 2);
      m.push(reduce(m, callable, args));
    },
  ],
  BUILD: [
    0x62,
    (m) => {
      const state = m.pop();
      build(m, m.top(), state);
    },
  ],
  PERSID: [0x50, (m) => pushNew(m, 64, new PyPersistentId(latin1(m.line())))],
  BINPERSID: [0x51, (m) => pushNew(m, 64, new PyPersistentId(m.pop()))],
  EXT1: [0x82, extension],
  EXT2: [0x83, extension],
  EXT4: [0x84, extension],
});

function table(named: Record<string, [number, Opcode['run']]>): (Opcode | undefined)[] {
  const unknown = (machine: PickleMachine) => machine.damaged('this is not an opcode');
  const all = Array.from({ length: 256 }, (_, byte) => ({
    name: `0x${byte.toString(16).padStart(2, '0')}`,
    run: unknown as Opcode['run'],
  }));
  for (const [name, [byte, run]] of Object.entries(named)) all[byte] = { name, run };
  return all;
}

function extension(machine: PickleMachine): never {
  return machine.damaged('names by number (the extension registry of copyreg) are not supported');
}

/** The last `count` values in their order. */
function popped(machine: PickleMachine, count: number): PyValue[] {
  const values: PyValue[] = [];
  for (let i = 0; i < count; i++) values.push(machine.pop());
  return values.reverse();
}

function pushNew(machine: PickleMachine, bytes: number, value: PyValue): void {
  machine.budget.memory(bytes);
  machine.push(value);
}

function pushTuple(machine: PickleMachine, items: PyValue[]): void {
  pushNew(machine, 88 + 8 * items.length, new PyTuple(items));
}

function pushFloat(machine: PickleMachine, value: number): void {
  pushNew(machine, 24, new PyFloat(value));
}

function pushText(machine: PickleMachine, text: string): void {
  pushNew(machine, 24 + 2 * text.length, text);
}

/** Texts from here on may be the bytes of an array in protocol 2. */
const LONG_TEXT = 256;

function pushUtf8(machine: PickleMachine, length: number): void {
  const start = machine.take(length);
  machine.budget.memory(24 + length);
  const bytes = machine.bytes.subarray(start, start + length);
  const latin1Text = length < LONG_TEXT ? undefined : utf8OfLatin1(bytes);
  if (latin1Text) machine.shared.longText = latin1Text;
  machine.push(latin1Text?.text ?? utf8(bytes));
}

function memoIndex(machine: PickleMachine): number {
  const text = latin1(machine.line());
  return /^\s*\d{1,15}\s*$/.test(text)
    ? Number(text)
    : machine.damaged('the number of a memo entry is none');
}
