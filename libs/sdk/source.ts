import { SlipwayError } from './slipway-error.js';

/** What the caller gives as a file of a version. */
export interface FileInput {
  /** Where it stands in the version, such as `model.onnx` or `weights/part-0.bin`. */
  path: string;
  data: Blob | Uint8Array | ReadableStream<Uint8Array> | string;
}

/** A file that can be read from anywhere, any number of times. */
export interface Source {
  path: string;
  size: number;
  read(start: number, end: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** A file that passes by once, and of which nobody knows the size. */
export interface StreamSource {
  path: string;
  stream: ReadableStream<Uint8Array>;
}

export function isStream(source: Source | StreamSource): source is StreamSource {
  return 'stream' in source;
}

/** What the caller gave, as something to read from. Strings are UTF-8. */
export function sourceOf({ path, data }: FileInput): Source | StreamSource {
  if (typeof data === 'string') return bytesSource(path, new TextEncoder().encode(data));
  if (data instanceof Uint8Array) return bytesSource(path, data);
  if (data instanceof Blob) {
    const read = async (start: number, end: number) =>
      new Uint8Array(await data.slice(start, end).arrayBuffer());
    return { path, size: data.size, read };
  }
  if (data instanceof ReadableStream) return { path, stream: data };
  const message = `The data of ${path} is not a Blob, Uint8Array, ReadableStream or string.`;
  throw new SlipwayError(message, { code: 'INVALID_ARGUMENT' });
}

export function bytesSource(path: string, bytes: Uint8Array): Source {
  const read = async (start: number, end: number) => bytes.subarray(start, end);
  return { path, size: bytes.length, read };
}

/** Runs the tasks, so many at a time; the first failure stops the rest from starting, and is thrown once all have ended. */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items].values();
  let failed = false;
  const worker = async () => {
    for (const item of waiting) {
      if (failed) return;
      await run(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: width }, worker));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure) throw failure.reason;
}

/** The pieces of a stream as they come. Browsers do not iterate over streams everywhere yet. */
export async function* piecesOf<T>(stream: ReadableStream<T>): AsyncGenerator<T, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      yield value;
    }
  } finally {
    // Ends the request where the reader stopped early; of no consequence where it came to the end.
    await reader.cancel().catch(() => {});
  }
}
