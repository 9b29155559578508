import { elementCount, type DType, type TensorData } from '#program';
import type { Dataset, Group } from 'h5wasm';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { StoredWeight } from '../layers/layer.js';

/** Bytes of a file, which is copied into the library's memory. */
const MOST_BYTES = 2 ** 30;
/** Bytes of all arrays that are read; a file may say more than it has. */
const MOST_READ = 2 ** 30;
const MOST_NAMES = 200_000;

/** A group of an HDF5 file, asked for what it must have. Faults of the file throw DamagedModel. */
export class Hdf5Group {
  constructor(
    private readonly group: Group,
    private readonly file: Reading,
  ) {}

  /** Names of what is in it. */
  names(): string[] {
    return guarded(this.path, () => {
      const names = this.group.keys();
      this.file.names += names.length;
      if (this.file.names > MOST_NAMES)
        throw new DamagedModel(
          `The HDF5 file has more than ${MOST_NAMES} names; that is the limit.`,
        );
      return names;
    });
  }

  /** A group in it; undefined where there is none of this name. Links to other files are not followed. */
  child(name: string): Hdf5Group | undefined {
    const found = this.entity(name, 'Group');
    return found && new Hdf5Group(found as Group, this.file);
  }

  /** An array in it; it is read when it is asked for. */
  array(name: string): StoredWeight | undefined {
    const found = this.entity(name, 'Dataset');
    if (!found) return undefined;
    return guarded(`${this.path}/${name}`, () =>
      storedArray(found as Dataset, `${this.path}/${name}`, this.file),
    );
  }

  /** A text that it has as an attribute. */
  text(name: string): string | undefined {
    const value = this.attribute(name);
    if (value instanceof Uint8Array) return new TextDecoder().decode(value);
    return typeof value === 'string' ? value : undefined;
  }

  /** A list of texts; Keras cuts those that are too long for HDF5 into `name0`, `name1`, …. */
  texts(name: string): string[] | undefined {
    const whole = this.textList(name);
    if (whole) return whole;
    const parts: string[] = [];
    for (let i = 0; i < MOST_NAMES; i++) {
      const part = this.textList(`${name}${i}`);
      if (!part) return i === 0 ? undefined : parts;
      parts.push(...part);
    }
    return parts;
  }

  private textList(name: string): string[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    const list: unknown[] = Array.isArray(value) ? value : ArrayBuffer.isView(value) ? [] : [value];
    if (list.length > MOST_NAMES || !list.every((item) => typeof item === 'string'))
      throw new DamagedModel(`${this.path}: its attribute ${name} is no list of texts.`);
    return list;
  }

  private attribute(name: string): unknown {
    return guarded(`${this.path}.${name}`, () => {
      const attribute = Object.hasOwn(this.group.attrs, name) ? this.group.attrs[name] : undefined;
      return attribute?.value ?? undefined;
    });
  }

  private entity(name: string, type: 'Group' | 'Dataset') {
    return guarded(`${this.path}/${name}`, () => {
      if (!this.group.keys().includes(name.split('/')[0] ?? '')) return undefined;
      const found = this.group.get(name);
      return found && 'type' in found && String(found.type) === type ? found : undefined;
    });
  }

  private get path(): string {
    return this.group.path;
  }
}

/** What is counted while a file is read. */
interface Reading {
  names: number;
  bytes: number;
}

let opened = 0;

/** Opens an HDF5 file that is in memory, with the HDF5 library in WebAssembly: it sees nothing but these bytes. */
export async function openHdf5(bytes: Uint8Array): Promise<Hdf5Group> {
  if (bytes.byteLength > MOST_BYTES)
    throw new UnsupportedModel(
      `The HDF5 file has ${bytes.byteLength} bytes; ${MOST_BYTES} are supported. Log the model as a SavedModel.`,
    );
  const { File, ready } = await import('h5wasm');
  const { FS } = (await ready) as unknown as {
    FS: { writeFile(name: string, bytes: Uint8Array): void };
  };
  opened += 1;
  const name = `model${opened}.h5`;
  return guarded('/', () => {
    FS.writeFile(name, bytes);
    return new Hdf5Group(new File(name, 'r'), { names: 0, bytes: 0 });
  });
}

/** Whether a file begins as HDF5 files do. */
export function isHdf5(head: Uint8Array): boolean {
  return [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a].every((byte, i) => head[i] === byte);
}

const KINDS: Record<string, Exclude<DType, 'BYTES'>> = {
  'float 2': 'FP16',
  'float 4': 'FP32',
  'float 8': 'FP64',
  'signed 1': 'INT8',
  'signed 2': 'INT16',
  'signed 4': 'INT32',
  'signed 8': 'INT64',
  'unsigned 1': 'UINT8',
  'unsigned 2': 'UINT16',
  'unsigned 4': 'UINT32',
  'unsigned 8': 'UINT64',
};

function storedArray(dataset: Dataset, path: string, file: Reading): StoredWeight {
  const { type, size, signed, shape } = dataset.metadata;
  // H5T_class_t: 0 integers, 1 floats, 8 enumerations (booleans).
  const kind =
    type === 1
      ? 'float'
      : type === 0
        ? signed
          ? 'signed'
          : 'unsigned'
        : type === 8
          ? 'signed'
          : '';
  const dtype = KINDS[`${kind} ${size}`];
  if (!dtype || dtype === 'FP16')
    throw new UnsupportedModel(
      `The array ${path} of the HDF5 file is of a type that is not supported (class ${type}, ${size} bytes).`,
    );
  const sizes = [...(shape ?? [])];
  const count = elementCount(sizes);
  return {
    dtype,
    shape: sizes,
    read: () =>
      guarded(path, () => {
        file.bytes += count * size;
        if (!Number.isSafeInteger(count) || file.bytes > MOST_READ)
          throw new DamagedModel(`The arrays of the HDF5 file have more than ${MOST_READ} bytes.`);
        return elements(dataset.value, count, path);
      }),
  };
}

function elements(value: unknown, count: number, path: string): TensorData {
  const single =
    typeof value === 'number'
      ? Float64Array.of(value)
      : typeof value === 'bigint'
        ? BigInt64Array.of(value)
        : value;
  if (!ArrayBuffer.isView(single) || single instanceof DataView)
    throw new DamagedModel(`The array ${path} of the HDF5 file cannot be read.`);
  const data = single as Exclude<TensorData, unknown[]>;
  if (data.length !== count)
    throw new DamagedModel(
      `The array ${path} has ${data.length} elements, and its shape ${count}.`,
    );
  return data;
}

/** Faults that the library finds, and those that it falls over. */
function guarded<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof DamagedModel || error instanceof UnsupportedModel) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw new DamagedModel(
      `The HDF5 file is damaged at ${path.slice(0, 300)}: ${text.replaceAll(/\s+/g, ' ').slice(0, 300)}.`,
    );
  }
}
