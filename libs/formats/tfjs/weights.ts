import { elementCount, fromFloat16, type DType, type TensorData } from '#program';
import type { Part } from '../document.js';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';

/** A weight as TF.js loads it: quantised ones are numbers of their own dtype again. */
export interface TfjsWeight {
  dtype: DType;
  shape: number[];
  data: TensorData;
}

const MOST_GROUPS = 10_000;
const MOST_WEIGHTS = 200_000;
/** Bytes of all weights together, as they are after quantisation is undone. */
const MOST_BYTES = 2 ** 30;
const MOST_DIMENSIONS = 32;

/**
 * Reads the weights that the `weightsManifest` of a `model.json` lists (TF.js 4.22, `io_utils.ts` and `weights_loader.ts`): the
 * shards of a group are one after the other, and so are the weights in them. `folder` is what stands before the name
 * `model.json` in the upload; only files of the upload are read. Throws DamagedModel and UnsupportedModel.
 */
export async function readTfjsWeights(
  manifest: Part,
  files: readonly UploadedFile[],
  folder: string,
): Promise<Map<string, TfjsWeight>> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const weights = new Map<string, TfjsWeight>();
  const groups = manifest.list();
  if (groups.length > MOST_GROUPS)
    manifest.damaged(`has more than ${MOST_GROUPS} groups; that is the limit`);
  let bytes = 0;
  for (const group of groups) {
    const entries = group.field('weights').list();
    if (weights.size + entries.length > MOST_WEIGHTS)
      group.damaged(`makes more than ${MOST_WEIGHTS} weights; that is the limit`);
    const facts = entries.map(readFacts);
    bytes += facts.reduce((sum, { count }) => sum + count * 4, 0);
    if (bytes > MOST_BYTES) group.damaged(`makes more than ${MOST_BYTES} bytes of weights`);
    const shards = new Shards(await readShards(group.field('paths'), byPath, folder));
    for (const fact of facts) {
      if (weights.has(fact.name)) fact.part.damaged(`names "${fact.name}" a second time`);
      const { dtype, shape } = fact;
      weights.set(fact.name, { dtype, shape, data: shards.next(fact) });
    }
    shards.end(group);
  }
  return weights;
}

interface WeightFacts {
  part: Part;
  name: string;
  dtype: DType;
  shape: number[];
  count: number;
  quantised?: Quantisation;
}

type Quantisation =
  { dtype: 'float16' } | { dtype: 'uint8' | 'uint16'; scale: number; min: number };

const DTYPES: Record<string, DType> = {
  float32: 'FP32',
  float16: 'FP16',
  int32: 'INT32',
  bool: 'BOOL',
  string: 'BYTES',
};

function readFacts(part: Part): WeightFacts {
  const name = part.field('name').text();
  const written = part.field('dtype').text();
  const dtype = DTYPES[written];
  if (!dtype)
    throw new UnsupportedModel(
      `The weight ${JSON.stringify(name.slice(0, 200))} has the dtype ${JSON.stringify(written.slice(0, 40))}; ${Object.keys(DTYPES).join(', ')} are supported.`,
    );
  const sizes = part.field('shape').list();
  if (sizes.length > MOST_DIMENSIONS)
    part.damaged(`has more than ${MOST_DIMENSIONS} dimensions; that is the limit`);
  const shape = sizes.map((size) => size.integer(0, MOST_BYTES));
  const count = elementCount(shape);
  if (count > MOST_BYTES / 4) part.damaged(`has ${count} elements, which is too many`);
  const quantisation = part.optional('quantization');
  if (!quantisation || quantisation.value === null) return { part, name, dtype, shape, count };
  return { part, name, dtype, shape, count, quantised: readQuantisation(quantisation, dtype) };
}

function readQuantisation(part: Part, dtype: DType): Quantisation {
  const of = part.field('dtype').text();
  if (of === 'float16' && dtype === 'FP32') return { dtype: of };
  if ((of === 'uint8' || of === 'uint16') && (dtype === 'FP32' || dtype === 'INT32'))
    return { dtype: of, scale: part.field('scale').number(), min: part.field('min').number() };
  throw new UnsupportedModel(
    `${part.path}: weights of ${dtype} quantised to ${JSON.stringify(of.slice(0, 40))} are not supported.`,
  );
}

async function readShards(
  paths: Part,
  files: ReadonlyMap<string, UploadedFile>,
  folder: string,
): Promise<Uint8Array> {
  const shards = paths.list().map((part) => {
    const file = files.get(`${folder}${part.text()}`);
    return (
      file ??
      part.damaged(`names ${JSON.stringify(part.text().slice(0, 200))}, which is not in the upload`)
    );
  });
  const size = shards.reduce((sum, file) => sum + file.size, 0);
  if (size > MOST_BYTES) paths.damaged(`has ${size} bytes; ${MOST_BYTES} are the limit`);
  const [only, ...others] = shards;
  if (only && others.length === 0) return only.read();
  const whole = new Uint8Array(size);
  let at = 0;
  for (const file of shards) {
    whole.set(await file.read(), at);
    at += file.size;
  }
  return whole;
}

/** The bytes of a group, taken weight after weight. */
class Shards {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  next({ part, dtype, count, quantised }: WeightFacts): TensorData {
    if (dtype === 'BYTES') return Array.from({ length: count }, () => this.text(part));
    if (!quantised) return this.plain(part, dtype, count);
    const stored = quantised.dtype === 'uint8' ? 'UINT8' : 'UINT16';
    const codes = this.plain(part, stored, count);
    if (Array.isArray(codes)) return codes;
    const data = dtype === 'INT32' ? new Int32Array(count) : new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const code = Number(codes[i]);
      if (quantised.dtype === 'float16') data[i] = fromFloat16(code);
      else {
        const value = code * quantised.scale + quantised.min;
        data[i] = dtype === 'INT32' ? Math.round(value) : value;
      }
    }
    return data;
  }

  end(group: Part): void {
    if (this.at < this.bytes.length)
      group.damaged(
        `has ${this.bytes.length} bytes of weights, and its weights take ${this.at}: a shard does not belong to it`,
      );
  }

  private plain(part: Part, dtype: Exclude<DType, 'BYTES'>, count: number): TensorData {
    const array = ARRAYS[dtype];
    if (!array) return part.damaged(`has weights of ${dtype}`);
    const bytes = this.take(part, count * array.BYTES_PER_ELEMENT);
    // A copy of its own begins where its elements can.
    return new array(bytes.slice().buffer, 0, count);
  }

  /** A string: the length of its bytes in 4 bytes, then the bytes. */
  private text(part: Part): string | Uint8Array {
    const head = this.take(part, 4);
    const length = new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
    const bytes = this.take(part, length).slice();
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return bytes;
    }
  }

  private take(part: Part, length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.bytes.length)
      throw new DamagedModel(
        `${part.path}: its group of weights is cut off: it has ${this.bytes.length} bytes, and this weight ends at ${end}.`,
      );
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }
}

const ARRAYS: Partial<
  Record<
    DType,
    Uint8ArrayConstructor | Uint16ArrayConstructor | Int32ArrayConstructor | Float32ArrayConstructor
  >
> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  FP16: Uint16Array,
  INT32: Int32Array,
  FP32: Float32Array,
};
