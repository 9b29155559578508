import { bytesField, varintField } from '../../libs/formats/protobuf.js';

/** Writes small ONNX models for tests (IR 10, opset 17 by default). */

export const FLOAT = 1;
export const INT32 = 6;
export const INT64 = 7;
export const STRING = 8;
export const BOOL = 9;

type Bytes = number[];

export function model(
  graph: Bytes[],
  { ir = 10, opset = 17, more = [] as Bytes[] } = {},
): Uint8Array {
  return Uint8Array.from([
    ...varintField(1, ir),
    ...bytesField(8, varintField(2, opset)),
    ...more.flat(),
    ...bytesField(7, graph.flat()),
  ]);
}

export function input(name: string, type: number, shape?: number[]): Bytes {
  return bytesField(11, value(name, tensorType(type, shape)));
}

export function output(name: string, type: number, shape?: number[]): Bytes {
  return bytesField(12, value(name, tensorType(type, shape)));
}

export function sequenceInput(name: string, type: number): Bytes {
  return bytesField(11, value(name, sequenceType(type)));
}

export function sequenceOutput(name: string, type: number): Bytes {
  return bytesField(12, value(name, sequenceType(type)));
}

function value(name: string, type: Bytes): Bytes {
  return [...bytesField(1, name), ...bytesField(2, type)];
}

function sequenceType(type: number): Bytes {
  return bytesField(4, bytesField(1, tensorType(type)));
}

function tensorType(type: number, shape?: number[]): Bytes {
  const dims = shape?.flatMap((dim) => bytesField(1, dim < 0 ? [] : varintField(1, dim)));
  return bytesField(1, [...varintField(1, type), ...(dims ? bytesField(2, dims) : [])]);
}

export function node(
  op: string,
  inputs: string[],
  outputs: string[],
  ...attributes: Bytes[]
): Bytes {
  return bytesField(1, [
    ...inputs.flatMap((name) => bytesField(1, name)),
    ...outputs.flatMap((name) => bytesField(2, name)),
    ...bytesField(4, op),
    ...attributes.flat(),
  ]);
}

export function intAttribute(name: string, number: number): Bytes {
  return bytesField(5, [...bytesField(1, name), ...varintField(3, number), ...varintField(20, 2)]);
}

export function graphAttribute(name: string, graph: Bytes[]): Bytes {
  return bytesField(5, [
    ...bytesField(1, name),
    ...bytesField(6, [...graph.flat(), ...bytesField(2, name)]),
    ...varintField(20, 5),
  ]);
}

/** An initialiser with raw data. */
export function initializer(name: string, type: number, dims: number[], raw: Uint8Array): Bytes {
  return bytesField(5, [
    ...dims.flatMap((dim) => varintField(1, dim)),
    ...varintField(2, type),
    ...bytesField(8, name),
    ...bytesField(9, raw),
  ]);
}

/** Adds `number` to `x`: what a test needs to tell versions apart. */
export function addModel(number: number): Uint8Array {
  return model([
    initializer('number', FLOAT, [1], new Uint8Array(Float32Array.of(number).buffer)),
    node('Add', ['x', 'number'], ['y']),
    input('x', FLOAT, [-1]),
    output('y', FLOAT, [-1]),
  ]);
}

/** Adds 1 to `x` as many times as `times` says: a large number freezes what runs it. */
export function loopModel(): Uint8Array {
  const body = [
    node('Add', ['a', 'one'], ['b']),
    node('Identity', ['go'], ['go.out']),
    input('i', INT64, []),
    input('go', BOOL, []),
    input('a', FLOAT, [-1]),
    output('go.out', BOOL, []),
    output('b', FLOAT, [-1]),
  ];
  return model([
    initializer('one', FLOAT, [1], new Uint8Array(Float32Array.of(1).buffer)),
    node('Loop', ['times', '', 'x'], ['y'], graphAttribute('body', body)),
    input('x', FLOAT, [-1]),
    input('times', INT64, []),
    output('y', FLOAT, [-1]),
  ]);
}

/** `a / b` of 64-bit integers: the least of them divided by -1 kills the process. */
export function divisionModel(): Uint8Array {
  return model([
    node('Div', ['a', 'b'], ['y']),
    input('a', INT64, [-1]),
    input('b', INT64, [-1]),
    output('y', INT64, [-1]),
  ]);
}

/** `x` expanded to the shape that the request names. */
export function expandModel(): Uint8Array {
  return model([
    node('Expand', ['x', 'shape'], ['big']),
    node('ReduceSum', ['big'], ['y'], intAttribute('keepdims', 0)),
    input('x', FLOAT, [-1]),
    input('shape', INT64, [-1]),
    output('y', FLOAT, []),
  ]);
}

/** Turns a sequence around: one sequence in, one out. */
export function sequenceModel(type: number): Uint8Array {
  return model([
    node('SequenceAt', ['xs', 'last'], ['end']),
    node('SequenceLength', ['xs'], ['count']),
    node('SequenceInsert', ['xs', 'end', 'first'], ['ys']),
    initializer('last', INT64, [], new Uint8Array(BigInt64Array.of(-1n).buffer)),
    initializer('first', INT64, [], new Uint8Array(BigInt64Array.of(0n).buffer)),
    sequenceInput('xs', type),
    sequenceOutput('ys', type),
    output('count', INT64, []),
  ]);
}

export function intsAttribute(name: string, numbers: number[]): Bytes {
  return bytesField(5, [
    ...bytesField(1, name),
    ...numbers.flatMap((number) => varintField(8, number)),
    ...varintField(20, 7),
  ]);
}

/** What a graph does to the process that runs it: never end, divide so that the processor traps, or take memory without end. */
export type Harm = 'freeze' | 'crash' | 'eat';

/** The `x` for which {@link trapModel} does its harm. */
export const TRAP = 666;

/** Adds `number` to each of `x` as {@link addModel} does, but for the one row {@link TRAP}, where it does harm. */
export function trapModel(number: number, harm: Harm): Uint8Array {
  const harmless = [node('Add', ['x', 'number'], ['safe']), output('safe', FLOAT, [-1])];
  return model([
    initializer('number', FLOAT, [1], new Uint8Array(Float32Array.of(number).buffer)),
    initializer('trap', FLOAT, [], new Uint8Array(Float32Array.of(TRAP).buffer)),
    node('ReduceSum', ['x'], ['sum'], intAttribute('keepdims', 0)),
    node('Equal', ['sum', 'trap'], ['trapped']),
    node(
      'If',
      ['trapped'],
      ['y'],
      graphAttribute('then_branch', [...harmOf(harm), output('harm', FLOAT, [-1])]),
      graphAttribute('else_branch', harmless),
    ),
    input('x', FLOAT, [-1]),
    output('y', FLOAT, [-1]),
  ]);
}

/** Does its harm already for zeros, with which it is warmed up. */
export function harmfulModel(harm: Harm): Uint8Array {
  return model([
    initializer('trap', FLOAT, [], new Uint8Array(Float32Array.of(0).buffer)),
    ...harmOf(harm),
    node('Identity', ['harm'], ['y']),
    input('x', FLOAT, [-1]),
    output('y', FLOAT, [-1]),
  ]);
}

/** Nodes that make `harm` of `x` and `trap`. */
function harmOf(harm: Harm): Bytes[] {
  if (harm === 'crash') return divideLeast();
  // Sixteenfold each turn: the seventh takes 1 GiB, the eighth 16 GiB.
  const turn = Array<string>(harm === 'freeze' ? 1 : 16).fill('a');
  const body = [
    node('Concat', turn, ['b'], intAttribute('axis', 0)),
    node('Identity', ['go'], ['go.out']),
    input('i', INT64, []),
    input('go', BOOL, []),
    input('a', FLOAT),
    output('go.out', BOOL, []),
    output('b', FLOAT),
  ];
  // Neither a count nor a condition: it turns for ever.
  return [node('Loop', ['', '', 'x'], ['harm'], graphAttribute('body', body))];
}

/** The least integer divided by -1, which `x - trap - 1` is for the trapped row and for zeros. */
function divideLeast(): Bytes[] {
  return [
    initializer('least', INT64, [1], new Uint8Array(BigInt64Array.of(-(2n ** 63n)).buffer)),
    initializer('single', FLOAT, [], new Uint8Array(Float32Array.of(1).buffer)),
    node('Sub', ['x', 'trap'], ['beyond']),
    node('Sub', ['beyond', 'single'], ['minus']),
    node('Cast', ['minus'], ['divisor'], intAttribute('to', INT64)),
    node('Div', ['least', 'divisor'], ['quotient']),
    node('Cast', ['quotient'], ['harm'], intAttribute('to', FLOAT)),
  ];
}
