import type * as ProgramLibrary from '#program';
import type { OnnxBackend, Tensor, TensorData } from '#program';

/*
 * What the conformance suite is and how a case of it is run. This module has no import at run time: Node loads it with the
 * library of Node, a page in a browser with the browser build.
 */

/** One model of the suite: files beside `suite.json`. */
export interface ConformanceCase {
  name: string;
  /** Folder with `program.json`, `weights.bin`, `inputs.json`, `expected.json` and the program's files. */
  folder: string;
  /** How near to the model's library the outputs are, beside bit for bit: relative to the largest of each. */
  tolerance: number;
  /** … and this more. */
  absolute?: number;
  /** Has ONNX parts. */
  onnx: boolean;
  /** Which of the model's signatures; absent: the default one. */
  signature?: string;
}

/** A tensor as JSON: numbers as base64 of their bytes, little-endian; NaN is always the same bits. */
export interface PlainTensor {
  name: string;
  dtype: Tensor['dtype'];
  shape: number[];
  bytes?: string;
  texts?: (string | null | { base64: string })[];
}

/** What the suite needs of where it runs. */
export interface ConformanceHost {
  library: typeof ProgramLibrary;
  read: (path: string) => Promise<Uint8Array>;
  onnx?: OnnxBackend;
}

export interface ConformanceAnswer {
  outputs: PlainTensor[];
  /** How many of them the library's answer is known of. */
  compared: number;
  /** What differs from the answers of the model's library; empty where nothing does. */
  differences: string[];
}

/** Loads the program of a case, runs it, and compares its outputs with those that are expected. */
export async function runCase(
  host: ConformanceHost,
  { folder, tolerance, absolute = 0, signature }: ConformanceCase,
): Promise<ConformanceAnswer> {
  const { library, read, onnx } = host;
  const json = async (name: string): Promise<unknown> =>
    JSON.parse(new TextDecoder().decode(await read(`${folder}/${name}`)));
  const program = (await json('program.json')) as ProgramLibrary.Program;
  const files = new Map<string, Uint8Array>();
  for (const { path } of program.files) files.set(path, await read(`${folder}/files/${path}`));
  const weights = await read(`${folder}/weights.bin`);
  const runtime = await library.loadProgram(program, weights, { files, ...(onnx && { onnx }) });
  const inputs = ((await json('inputs.json')) as PlainTensor[]).map((t) => fromPlain(library, t));
  const names = library
    .chooseSignature(runtime, signature)
    .signature.outputs.map(({ name }) => name);
  const outputs = await runtime.run(
    library.bindInputs(runtime, inputs, { maxRows: Infinity, signature }),
    library.bindOutputs(runtime, names, signature),
  );
  await runtime.close();
  const wanted = ((await json('expected.json')) as PlainTensor[]).map((t) => fromPlain(library, t));
  const differences = wanted.flatMap((want) => {
    const got = outputs.find(({ name }) => name === want.name);
    const difference = got ? differenceOf(got, want, { tolerance, absolute }) : 'is missing';
    return difference ? [`${want.name} ${difference}`] : [];
  });
  return { outputs: outputs.map(toPlain), compared: wanted.length, differences };
}

/** Texts, integers and classes are the same; floats too, or within the tolerance times the largest of them. */
function differenceOf(
  got: Tensor,
  want: Tensor,
  { tolerance, absolute }: { tolerance: number; absolute: number },
): string | undefined {
  if (got.data.length !== want.data.length) {
    return `has ${got.data.length} elements where ${want.data.length} are expected`;
  }
  const float = want.dtype === 'FP32' || want.dtype === 'FP64';
  let largest = 0;
  for (const x of want.data)
    if (Math.abs(Number(x)) < Infinity) largest = Math.max(largest, Math.abs(Number(x)));
  for (let i = 0; i < want.data.length; i++) {
    const [a, b] = [got.data[i], want.data[i]];
    if (Object.is(a, b) || String(a) === String(b)) continue;
    if (float && Math.abs(Number(a) - Number(b)) <= tolerance * largest + absolute) continue;
    return `[${i}] is ${String(a)} where ${String(b)} is expected`;
  }
  return undefined;
}

/** A tensor for a file or another process. */
export function toPlain({ name, dtype, shape, data }: Tensor): PlainTensor {
  if (Array.isArray(data)) {
    const texts = data.map((x) =>
      typeof x === 'string' || x === null ? x : { base64: btoa(String.fromCharCode(...x)) },
    );
    return { name, dtype, shape, texts };
  }
  const copy = data.slice();
  // The sign and the rest of a NaN are each engine's own.
  if (copy instanceof Float32Array || copy instanceof Float64Array) {
    normaliseNaN(copy);
  }
  const bytes = new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return { name, dtype, shape, bytes: btoa(text) };
}

function normaliseNaN(data: Float32Array | Float64Array): void {
  const wide = data instanceof Float64Array;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let i = 0; i < data.length; i++) {
    if (!Number.isNaN(data[i])) continue;
    if (wide) view.setBigUint64(i * 8, 0x7ff8000000000000n, true);
    else view.setUint32(i * 4, 0x7fc00000, true);
  }
}

/** The tensor that {@link toPlain} wrote. */
export function fromPlain(library: typeof ProgramLibrary, plain: PlainTensor): Tensor {
  const { name, dtype, shape, bytes = '', texts } = plain;
  if (texts) {
    const data = texts.map((x) =>
      typeof x === 'object' && x !== null
        ? Uint8Array.from(atob(x.base64), (char) => char.charCodeAt(0))
        : x,
    );
    return { name, dtype, shape, data };
  }
  const raw = Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0));
  const data: TensorData = library.newData(dtype, library.elementCount(shape));
  if (!Array.isArray(data)) new Uint8Array(data.buffer).set(raw);
  return { name, dtype, shape, data };
}
