import {
  DTYPES,
  elementCount,
  elementSize,
  newData,
  type DType,
  type Tensor,
  type TensorData,
} from '#program';

/**
 * Messages between the front and a compartment. Each is its length (uint32, without these four bytes), a type, an id and a body, and is padded to eight bytes, so that numbers lie aligned; all little-endian.
 */
export const MessageType = {
  Load: 1,
  Run: 2,
  Unload: 3,
  Ping: 4,
  Loaded: 5,
  Answer: 6,
  Error: 7,
  Pong: 8,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** No message is longer: a prediction may not be as large as what it runs in. */
export const MAX_MESSAGE = 2 ** 30;

const HEADER = 12;
const ALIGNMENT = 8;

/** A message is malformed; what comes next in the stream means nothing. */
export class FrameError extends Error {
  override name = 'FrameError';
}

/** Collects messages into one piece of bytes for one write. */
export class FrameWriter {
  private bytes = Buffer.allocUnsafe(16 * 1024);
  private length = 0;
  private start = 0;

  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** What was collected; the writer begins anew. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.allocUnsafe(16 * 1024);
    this.length = 0;
    return taken;
  }

  /** A message whose body `write` writes; nothing of it remains where that throws. */
  message(type: MessageType, id: number, write?: () => void): void {
    const start = (this.start = this.length);
    try {
      this.reserve(HEADER);
      this.length += 4;
      this.uint32(type);
      this.uint32(id);
      write?.();
      this.align();
      if (this.length - start > MAX_MESSAGE)
        throw new FrameError(`A message may have ${MAX_MESSAGE} bytes.`);
      this.bytes.writeUInt32LE(this.length - start - 4, start);
    } catch (error) {
      this.length = start;
      throw error;
    }
  }

  uint32(value: number): void {
    this.reserve(4);
    this.bytes.writeUInt32LE(value, this.length);
    this.length += 4;
  }

  text(text: string): void {
    this.uint32(Buffer.byteLength(text));
    this.reserve(text.length * 3);
    this.length += this.bytes.write(text, this.length);
  }

  json(value: unknown): void {
    this.text(JSON.stringify(value));
  }

  tensors(tensors: Tensor[]): void {
    this.uint32(tensors.length);
    for (const tensor of tensors) this.tensor(tensor);
  }

  private tensor({ name, dtype, shape, data, parameters }: Tensor): void {
    this.text(name);
    this.uint32(DTYPES.indexOf(dtype));
    this.uint32(shape.length);
    for (const dim of shape) this.uint32(dim);
    this.text(parameters ? JSON.stringify(parameters) : '');
    if (dtype === 'BYTES') this.elements(data as (string | Uint8Array | null)[]);
    else {
      const { buffer, byteOffset, byteLength } = data as Uint8Array;
      this.align();
      this.raw(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }

  /** Each element is its kind, its length and its bytes. */
  private elements(elements: (string | Uint8Array | null)[]): void {
    for (const element of elements) {
      this.uint32(
        element === null ? Kind.missing : typeof element === 'string' ? Kind.text : Kind.bytes,
      );
      if (typeof element === 'string') this.text(element);
      else if (element !== null) {
        this.uint32(element.length);
        this.raw(element);
      }
    }
  }

  private raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  private align(): void {
    const padding = (ALIGNMENT - ((this.length - this.start) % ALIGNMENT)) % ALIGNMENT;
    this.reserve(padding);
    this.bytes.fill(0, this.length, this.length + padding);
    this.length += padding;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

const Kind = { text: 0, bytes: 1, missing: 2 } as const;

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  private wanted = 4;

  constructor(private readonly receive: (message: Message) => void) {}

  /** Throws {@link FrameError} for bytes that are no messages; then the stream is over. */
  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length < this.wanted) return;
    let bytes = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks);
    this.wanted = 4;
    while (bytes.length >= 4) {
      const length = bytes.readUInt32LE(0);
      if (length > MAX_MESSAGE || length < HEADER - 4)
        throw new FrameError('A message has a wrong length.');
      this.wanted = 4 + length;
      if (bytes.length < this.wanted) break;
      this.receive(new Message(bytes.subarray(0, this.wanted)));
      bytes = bytes.subarray(this.wanted);
      this.wanted = 4;
    }
    this.chunks = bytes.length > 0 ? [bytes] : [];
    this.length = bytes.length;
  }
}

/** One message; the body is read in the order in which it was written. */
export class Message {
  readonly type: number;
  readonly id: number;
  private position = HEADER;

  constructor(private readonly bytes: Buffer) {
    this.type = bytes.readUInt32LE(4);
    this.id = bytes.readUInt32LE(8);
  }

  uint32(): number {
    this.need(4);
    this.position += 4;
    return this.bytes.readUInt32LE(this.position - 4);
  }

  /** The next number of the body, which stays unread. */
  peek(): number {
    this.need(4);
    return this.bytes.readUInt32LE(this.position);
  }

  text(): string {
    const length = this.uint32();
    this.need(length);
    this.position += length;
    return this.bytes.toString('utf8', this.position - length, this.position);
  }

  json(): unknown {
    return JSON.parse(this.text()) as unknown;
  }

  tensors(): Tensor[] {
    const count = this.uint32();
    const tensors: Tensor[] = [];
    for (let i = 0; i < count; i++) tensors.push(this.tensor());
    return tensors;
  }

  private tensor(): Tensor {
    const name = this.text();
    const dtype = DTYPES[this.uint32()];
    if (!dtype) throw new FrameError('A tensor has an unknown dtype.');
    const rank = this.uint32();
    this.need(rank * 4);
    const shape = Array.from({ length: rank }, () => this.uint32());
    const parameters = this.text();
    const count = elementCount(shape);
    const data = dtype === 'BYTES' ? this.elements(count) : this.numbers(dtype, count);
    const tensor: Tensor = { name, dtype, shape, data };
    if (parameters) tensor.parameters = JSON.parse(parameters) as Record<string, unknown>;
    return tensor;
  }

  /** A view of the message where it lies aligned, else a copy. */
  private numbers(dtype: Exclude<DType, 'BYTES'>, count: number): TensorData {
    this.position += (ALIGNMENT - (this.position % ALIGNMENT)) % ALIGNMENT;
    const length = count * elementSize(dtype);
    this.need(length);
    const start = this.position;
    this.position += length;
    const Numbers = arrayOf(dtype);
    const at = this.bytes.byteOffset + start;
    if (at % elementSize(dtype) === 0) return new Numbers(this.bytes.buffer, at, count);
    return new Numbers(this.bytes.buffer.slice(at, at + length), 0, count);
  }

  private elements(count: number): TensorData {
    this.need(count * 4);
    return Array.from({ length: count }, () => {
      const kind = this.uint32();
      if (kind === Kind.missing) return null;
      if (kind === Kind.text) return this.text();
      const length = this.uint32();
      this.need(length);
      this.position += length;
      return Uint8Array.from(this.bytes.subarray(this.position - length, this.position));
    });
  }

  private need(count: number): void {
    if (count > this.bytes.length - this.position) throw new FrameError('A message is cut off.');
  }
}

type NumbersConstructor = new (
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
) => Exclude<TensorData, unknown[]>;

function arrayOf(dtype: Exclude<DType, 'BYTES'>): NumbersConstructor {
  return newData(dtype, 0).constructor as NumbersConstructor;
}
