import { isUtf8 } from 'node:buffer';
import type { DType, TensorData } from '#program';
import { excerpt } from './codec-error.js';
import { toBfloat16, toFloat16 } from './half.js';

/** Takes the elements of one tensor out of parsed JSON and into its typed array, checking each on the way. */
export interface TensorSink {
  readonly data: TensorData;
  /** Writes `values` from `offset` on. Answers the index of the first value that is not one of the dtype, or -1. */
  fill(values: readonly unknown[], offset: number): number;
  /** Why a value was not taken and what would have been. */
  explain(value: unknown): string;
}

/** The sink of a dtype for `size` elements; `base64` says that BYTES are written so. */
export function createSink(dtype: DType, size: number, base64: boolean): TensorSink {
  switch (dtype) {
    case 'FP32':
      return new Float32Sink(size);
    case 'FP64':
      return new Float64Sink(size);
    case 'FP16':
      return new HalfSink('FP16', size, toFloat16, 0x7c00);
    case 'BF16':
      return new HalfSink('BF16', size, toBfloat16, 0x7f80);
    case 'INT64':
      return new BigIntSink('INT64', new BigInt64Array(size), -(2n ** 63n), 2n ** 63n - 1n);
    case 'UINT64':
      return new BigIntSink('UINT64', new BigUint64Array(size), 0n, 2n ** 64n - 1n);
    case 'INT32':
      return new IntegerSink('INT32', new Int32Array(size), -(2 ** 31), 2 ** 31 - 1);
    case 'UINT32':
      return new IntegerSink('UINT32', new Uint32Array(size), 0, 2 ** 32 - 1);
    case 'INT16':
      return new IntegerSink('INT16', new Int16Array(size), -32768, 32767);
    case 'UINT16':
      return new IntegerSink('UINT16', new Uint16Array(size), 0, 65535);
    case 'INT8':
      return new IntegerSink('INT8', new Int8Array(size), -128, 127);
    case 'UINT8':
      return new IntegerSink('UINT8', new Uint8Array(size), 0, 255);
    case 'BOOL':
      return new BoolSink(size);
    case 'BYTES':
      return new BytesSink(size, base64);
  }
}

/** Numbers from here on round to infinity as float32: halfway from the largest one to 2^128. */
const FLOAT32_LIMIT = 2 ** 128 - 2 ** 103;

class Float32Sink implements TensorSink {
  readonly data: Float32Array;

  constructor(size: number) {
    this.data = new Float32Array(size);
  }

  fill(values: readonly unknown[], offset: number): number {
    const data = this.data;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (typeof value === 'number' && value < FLOAT32_LIMIT && value > -FLOAT32_LIMIT) {
        data[offset + i] = value;
      } else {
        const special = specialFloat(value, FLOAT32_LIMIT);
        if (special === undefined) return i;
        data[offset + i] = special;
      }
    }
    return -1;
  }

  explain(value: unknown): string {
    return explainFloat('FP32', value);
  }
}

class Float64Sink implements TensorSink {
  readonly data: Float64Array;

  constructor(size: number) {
    this.data = new Float64Array(size);
  }

  fill(values: readonly unknown[], offset: number): number {
    const data = this.data;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (typeof value === 'number' && value < Infinity && value > -Infinity) {
        data[offset + i] = value;
      } else {
        const special = specialFloat(value, Infinity);
        if (special === undefined) return i;
        data[offset + i] = special;
      }
    }
    return -1;
  }

  explain(value: unknown): string {
    return explainFloat('FP64', value);
  }
}

class HalfSink implements TensorSink {
  readonly data: Uint16Array;

  constructor(
    private readonly dtype: DType,
    size: number,
    private readonly toBits: (value: number) => number,
    private readonly infinity: number,
  ) {
    this.data = new Uint16Array(size);
  }

  fill(values: readonly unknown[], offset: number): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      const finite = typeof value === 'number' && Number.isFinite(value);
      const number = finite ? value : specialFloat(value, Infinity);
      if (number === undefined) return i;
      const bits = this.toBits(number);
      if ((bits & 0x7fff) === this.infinity && Number.isFinite(number)) return i;
      this.data[offset + i] = bits;
    }
    return -1;
  }

  explain(value: unknown): string {
    return explainFloat(this.dtype, value);
  }
}

/** What stands for a number where JSON has none: null and the three words; and integers that came exactly. */
function specialFloat(value: unknown, limit: number): number | undefined {
  if (value === null || value === 'NaN') return NaN;
  if (value === 'Infinity') return Infinity;
  if (value === '-Infinity') return -Infinity;
  if (typeof value !== 'bigint') return undefined;
  const number = Number(value);
  return Math.abs(number) < limit ? number : undefined;
}

function explainFloat(dtype: DType, value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') {
    return `is too large for ${dtype}; write "Infinity" where infinity is meant`;
  }
  return `is ${excerpt(value)}; ${dtype} takes numbers, null, "NaN", "Infinity" and "-Infinity"`;
}

class IntegerSink implements TensorSink {
  constructor(
    private readonly dtype: DType,
    readonly data: Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array,
    private readonly min: number,
    private readonly max: number,
  ) {}

  fill(values: readonly unknown[], offset: number): number {
    const { data, min, max } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
        return i;
      }
      data[offset + i] = value;
    }
    return -1;
  }

  explain(value: unknown): string {
    return explainInteger(this.dtype, value, this.min, this.max);
  }
}

class BigIntSink implements TensorSink {
  constructor(
    private readonly dtype: DType,
    readonly data: BigInt64Array | BigUint64Array,
    private readonly min: bigint,
    private readonly max: bigint,
  ) {}

  fill(values: readonly unknown[], offset: number): number {
    const { data, min, max } = this;
    for (let i = 0; i < values.length; i++) {
      const integer = exactInteger(values[i]);
      if (integer === undefined || integer < min || integer > max) return i;
      data[offset + i] = integer;
    }
    return -1;
  }

  explain(value: unknown): string {
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      return `is ${value}, which is not exact; write ${this.dtype} beyond 2^53 with all its digits and no exponent`;
    }
    return explainInteger(this.dtype, value, this.min, this.max);
  }
}

/** Numbers that are exact, bigints, and strings of digits, which many JSON writers use for 64-bit integers. */
function exactInteger(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return BigInt(value);
  return undefined;
}

function explainInteger(
  dtype: DType,
  value: unknown,
  min: number | bigint,
  max: number | bigint,
): string {
  if (value === null) return `is null; ${dtype} has no missing value`;
  return `is ${excerpt(value)}; ${dtype} takes integers from ${min} to ${max}`;
}

class BoolSink implements TensorSink {
  readonly data: Uint8Array;

  constructor(size: number) {
    this.data = new Uint8Array(size);
  }

  fill(values: readonly unknown[], offset: number): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === true || value === 1) this.data[offset + i] = 1;
      else if (value !== false && value !== 0) return i;
    }
    return -1;
  }

  explain(value: unknown): string {
    if (value === null) return 'is null; BOOL has no missing value';
    return `is ${excerpt(value)}; BOOL takes true, false, 1 and 0`;
  }
}

class BytesSink implements TensorSink {
  readonly data: (string | Uint8Array | null)[];

  constructor(
    size: number,
    private readonly base64: boolean,
  ) {
    this.data = Array.from({ length: size }, () => null);
  }

  fill(values: readonly unknown[], offset: number): number {
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === null) continue;
      if (typeof value !== 'string') return i;
      const element = this.base64 ? fromBase64(value) : wellFormed(value);
      if (element === undefined) return i;
      this.data[offset + i] = element;
    }
    return -1;
  }

  explain(value: unknown): string {
    if (typeof value !== 'string') {
      return `is ${excerpt(value)}; BYTES takes strings${this.base64 ? ' of base64' : ''} and null`;
    }
    if (this.base64) return `is ${excerpt(value)}, which is not base64 (RFC 4648 section 4)`;
    return 'has half of a surrogate pair, which no UTF-8 text has; send other bytes as base64 with the parameter "content_type": "base64"';
  }
}

function wellFormed(value: string): string | undefined {
  return /\p{Surrogate}/u.test(value) ? undefined : value;
}

/** Decoded bytes, as a string where they are UTF-8; undefined where the text is not base64. */
function fromBase64(text: string): string | Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  // Buffer skips what is no base64; what it took is the whole text only if that encodes back to it, padded or not.
  const back = bytes.toString('base64');
  if (back !== text && back.replace(/=+$/, '') !== text) return undefined;
  return isUtf8(bytes) ? bytes.toString() : new Uint8Array(bytes);
}
