import { elementCount, elementSize, viewData, type TypedArray } from './dtype.js';
import { ProgramError } from './program-error.js';
import type { WeightRef } from './program.js';

const ALIGNMENT = 8;

/** Packs arrays into the bytes of `weights.bin`. */
export class WeightsWriter {
  /** Where each array begins. */
  private readonly offsets = new Map<TypedArray, number>();
  private size = 0;

  /**
   * Adds an array (its shape is one dimension unless given) and says where it will be. One that is there already (the same object)
   * is stored once; it must not change before {@link toBytes}.
   */
  add(dtype: WeightRef['dtype'], data: TypedArray, shape: number[] = [data.length]): WeightRef {
    const offset = this.offsets.get(data) ?? this.size;
    if (offset === this.size) {
      this.offsets.set(data, offset);
      this.size = Math.ceil((offset + data.byteLength) / ALIGNMENT) * ALIGNMENT;
    }
    return { dtype, shape, offset };
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    for (const [data, offset] of this.offsets) {
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    }
    return bytes;
  }
}

/** Reads the arrays of `weights.bin` that a program points to. The host is little-endian, as every host of V8 today. */
export class WeightsReader {
  /** Bytes that were copied for those who asked. */
  copied = 0;

  constructor(
    private bytes: Uint8Array,
    private readonly copies = false,
  ) {}

  /** One of the same arrays that gives copies, for those who keep little of much. */
  copying(): WeightsReader {
    return new WeightsReader(this.bytes, true);
  }

  /** All bytes. */
  get whole(): Uint8Array {
    return this.bytes;
  }

  /** Reads no more: whoever keeps the reader does not keep the bytes. */
  close(): void {
    this.bytes = new Uint8Array(0);
  }

  /** The array of `ref`: a view where the bytes are aligned. `pointer` is where the program names it. */
  read(ref: WeightRef, pointer: string): TypedArray {
    const size = elementSize(ref.dtype);
    const length = elementCount(ref.shape);
    if (ref.offset + length * size > this.bytes.byteLength) {
      throw ProgramError.program(
        pointer,
        `needs bytes ${ref.offset} to ${ref.offset + length * size} of weights that have ${this.bytes.byteLength}`,
      );
    }
    const start = this.bytes.byteOffset + ref.offset;
    if (this.copies) this.copied += length * size;
    else if (start % size === 0) return viewData(ref.dtype, this.bytes.buffer, start, length);
    // A Buffer's own `slice` would be a view.
    const copy = new Uint8Array(this.bytes.subarray(ref.offset, ref.offset + length * size));
    return viewData(ref.dtype, copy.buffer, 0, length);
  }

  int32(ref: WeightRef, pointer: string): Int32Array {
    const data = this.read(ref, pointer);
    return data instanceof Int32Array ? data : wrongType(ref, 'INT32', pointer);
  }

  uint32(ref: WeightRef, pointer: string): Uint32Array {
    const data = this.read(ref, pointer);
    return data instanceof Uint32Array ? data : wrongType(ref, 'UINT32', pointer);
  }

  uint8(ref: WeightRef, pointer: string): Uint8Array {
    const data = this.read(ref, pointer);
    return data instanceof Uint8Array ? data : wrongType(ref, 'UINT8', pointer);
  }

  floats(ref: WeightRef, pointer: string): Float32Array | Float64Array {
    const data = this.read(ref, pointer);
    return data instanceof Float32Array || data instanceof Float64Array
      ? data
      : wrongType(ref, 'FP32 or FP64', pointer);
  }
}

function wrongType(ref: WeightRef, wanted: string, pointer: string): never {
  throw ProgramError.program(pointer, `is ${ref.dtype} and must be ${wanted}`);
}
