import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DTYPES, elementCount, newData, type Tensor } from '#program';
import {
  FrameError,
  FrameReader,
  FrameWriter,
  MessageType,
  type Message,
} from './compartment-frames.js';

const tensors: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.string(),
    dtype: fc.constantFrom(...DTYPES),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
    seed: fc.uint8Array({ minLength: 8, maxLength: 64 }),
    parameters: fc.option(fc.dictionary(fc.string(), fc.string()), { nil: undefined }),
  })
  .map(({ name, dtype, shape, seed, parameters }) => {
    const count = elementCount(shape);
    const data = newData(dtype, count);
    if (Array.isArray(data))
      for (let i = 0; i < count; i++)
        data[i] = [null, seed, 'é€'.repeat(seed[0] ?? 0), ''][i % 4] ?? null;
    else {
      const bytes = new Uint8Array(data.buffer);
      for (let i = 0; i < bytes.length; i++) bytes[i] = seed[i % seed.length] ?? 0;
    }
    return { name, dtype, shape, data, ...(parameters ? { parameters } : {}) };
  });

/** Bits, so that every NaN is itself. */
function bitsOf({ data, ...rest }: Tensor): unknown {
  if (Array.isArray(data)) return { ...rest, data };
  return {
    ...rest,
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
  };
}

describe('frames', () => {
  test('messages come out as they went in, however the stream is cut', () => {
    const messages = fc.array(fc.array(tensors, { maxLength: 3 }), { maxLength: 5 });
    fc.assert(
      fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 97 })), (lists, cuts) => {
        const writer = new FrameWriter();
        for (const [id, list] of lists.entries())
          writer.message(MessageType.Run, id, () => writer.tensors(list));
        const bytes = writer.take();
        const got: unknown[] = [];
        const reader = new FrameReader((message: Message) => {
          got.push([message.type, message.id, message.tensors().map(bitsOf)]);
        });
        for (let at = 0; at < bytes.length;) {
          const next = at + (cuts.next().value ?? 1);
          reader.push(Buffer.from(bytes.subarray(at, next)));
          at = next;
        }
        expect(got).toEqual(lists.map((list, id) => [MessageType.Run, id, list.map(bitsOf)]));
      }),
      { numRuns: 200 },
    );
  });

  test('random bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 200 }), (bytes) => {
        const reader = new FrameReader((message) => void message.tensors());
        try {
          reader.push(Buffer.from(bytes));
        } catch (error) {
          if (!(error instanceof FrameError) && !(error instanceof SyntaxError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
