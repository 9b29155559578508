import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, UnsupportedModel } from '#formats';
import {
  FLOAT,
  input,
  INT64,
  loopModel,
  model,
  node,
  output,
} from '../../test/support/onnx-writer.js';
import { bridgeGraph } from './onnx/onnx-bridging.js';
import { checkOnnxModel } from './onnx/onnx-checks.js';
import { readOnnxModel } from './onnx/onnx-model.js';
import { bytesField, varintField, WireReader } from './protobuf.js';

/** All that is done before ONNX Runtime sees a file; only refusals may come out of it. */
function inspect(bytes: Uint8Array): unknown {
  try {
    const read = readOnnxModel(bytes);
    if (!read.graph) return undefined;
    const whole = { ...read, graph: read.graph };
    checkOnnxModel(whole, 'model.onnx', new Map([['model.onnx', bytes.length]]));
    return bridgeGraph(whole, []);
  } catch (error) {
    if (error instanceof DamagedModel || error instanceof UnsupportedModel) return error.message;
    throw error;
  }
}

describe('the reader of protobuf', () => {
  test('reads what the writer wrote', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.string({ unit: 'grapheme' }),
        fc.integer({ min: 1, max: 0x1fffffff }),
        (number, text, field) => {
          const bytes = Uint8Array.from([
            ...varintField(field, number),
            ...bytesField(field, text),
          ]);
          const reader = WireReader.open(bytes, 'a test', { messages: 1 });
          expect(reader.next() && reader.field).toBe(field);
          expect(reader.int64()).toBe(number);
          expect(reader.next() && reader.text()).toBe(text);
          expect(reader.next()).toBe(false);
        },
      ),
    );
  });

  test('random bytes are refused, with a reason and without anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void inspect(bytes)),
      {
        numRuns: 3_000,
      },
    );
  });

  test('every truncation of a model is read or refused', () => {
    const bytes = loopModel();
    for (let length = 0; length < bytes.length; length++) inspect(bytes.subarray(0, length));
    expect(inspect(bytes)).toHaveProperty('inputs');
  });

  test('a model with any bytes changed is read or refused', () => {
    const bytes = loopModel();
    const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const changed = bytes.slice();
        for (const [at, byte] of list) changed[at] = byte;
        inspect(changed);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each<[string, number[], RegExp]>([
    [
      'a graph that is there twice',
      [...bytesField(7, []), ...bytesField(7, [])],
      /graph is there twice/,
    ],
    ['a number without end', [0x08, ...Array.from({ length: 11 }, () => 0xff)], /more than/],
    ['a tag encoded too long', [0x88, 0x00, 0x08], /too long/],
    ['a length beyond the end', [0x3a, 0x7f, 0x00], /127 bytes are promised/],
    ['a text that is not UTF-8', bytesField(7, bytesField(11, bytesField(1, [0xff]))), /UTF-8/],
  ])('refuses %s', (_, bytes, reason) => {
    expect(inspect(Uint8Array.from(bytes))).toMatch(reason);
  });
});

describe('the checks of a model', () => {
  const x = input('x', FLOAT, [-1]);
  const y = output('y', FLOAT, [-1]);
  const relu = node('Relu', ['x'], ['y']);
  test.each<[string, Uint8Array, RegExp]>([
    ['no outputs', model([relu, x]), /no outputs/],
    [
      'an output that nothing makes',
      model([relu, x, output('z', FLOAT)]),
      /No node makes the output "z"/,
    ],
    ['an output twice', model([relu, x, y, y]), /twice among the outputs/],
    ['a value made twice', model([relu, relu, x, y]), /also elsewhere/],
    ['a future opset', model([relu, x, y], { opset: 27 }), /ai\.onnx 27/],
    [
      'an opset in two versions',
      model([relu, x, y], { more: [bytesField(8, varintField(2, 18))] }),
      /as version 1[78] and as version 1[78]/,
    ],
    ['an old IR', model([relu, x, y], { ir: 2 }), /IR version 2/],
    ['an input of complex numbers', model([relu, input('x', 14), y]), /complex64/],
    [
      'raw and typed data at once',
      model([
        relu,
        x,
        y,
        bytesField(5, [
          ...varintField(1, 1),
          ...varintField(2, INT64),
          ...varintField(7, 1),
          ...bytesField(8, 'w'),
          ...bytesField(9, [0, 0, 0, 0, 0, 0, 0, 0]),
        ]),
      ]),
      /both raw data and int64_data/,
    ],
  ])('refuse %s', (_, bytes, reason) => {
    expect(inspect(bytes)).toMatch(reason);
  });

  test('let a sound model pass, with its signature', () => {
    expect(inspect(model([relu, x, y]))).toMatchObject({
      inputs: [{ name: 'x', dtype: 'FP32', shape: [-1] }],
      outputs: [{ name: 'y', dtype: 'FP32', shape: [-1] }],
    });
  });
});
