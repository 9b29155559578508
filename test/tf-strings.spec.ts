import { describe, expect, it } from '@jest/globals';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  runGraph,
  type AttributeLiteral,
  type GraphLiteral,
  type TensorLiteral,
} from './support/tf-graphs.js';

/* Operations on strings; the answers are TensorFlow's own (its documentation and tests, and ../shared/fixtures/saved-model). */

const runner = sharedRunner();

const texts = (...data: string[]): TensorLiteral => ({
  dtype: 'BYTES',
  shape: [data.length],
  data,
});

/** The outputs of one operation on strings; further inputs are constants. */
async function run(
  operation: string,
  given: TensorLiteral,
  {
    attributes = {},
    constants = [],
    outputs = 1,
  }: {
    attributes?: Record<string, AttributeLiteral>;
    constants?: TensorLiteral[];
    outputs?: number;
  } = {},
) {
  const named = constants.map(
    ({ dtype, shape, data }, i) => [`c${i}`, constantNode(dtype, shape, data)] as const,
  );
  const literal: GraphLiteral = {
    inputs: { x: { dtype: given.dtype, shape: given.shape } },
    nodes: {
      ...Object.fromEntries(named),
      y: [operation, ['x', ...named.map(([name]) => name)], attributes],
    },
    outputs: Array.from({ length: outputs }, (_, i) => `y:${i}`),
  };
  const tensors = await runGraph(runner, literal, { x: given });
  return tensors.map(({ shape, data }) => ({ shape, data: Array.from<unknown>(data) }));
}

const five = texts('ABC', '  Straße 7 ', 'naïve Café №5', '1234 56', '日本語テキスト');

describe('an operation on strings', () => {
  it.each<[string, Record<string, AttributeLiteral>, TensorLiteral[], unknown[]]>([
    [
      'StringLower',
      { encoding: 'utf-8' },
      [],
      ['abc', '  straße 7 ', 'naïve café №5', '1234 56', '日本語テキスト'],
    ],
    ['StringUpper', {}, [], ['ABC', '  STRAßE 7 ', 'NAïVE CAFé №5', '1234 56', '日本語テキスト']],
    ['StringStrip', {}, [], ['ABC', 'Straße 7', 'naïve Café №5', '1234 56', '日本語テキスト']],
    ['StringLength', {}, [], [3, 12, 17, 7, 21]],
    ['StringLength', { unit: 'UTF8_CHAR' }, [], [3, 11, 13, 7, 7]],
    ['StringToHashBucketFast', { num_buckets: 1000 }, [], [866n, 994n, 750n, 525n, 613n]],
    [
      'StringToHashBucketStrong',
      { num_buckets: 1000, key: [7, 11] },
      [],
      [406n, 456n, 744n, 242n, 660n],
    ],
    [
      'EncodeBase64',
      {},
      [],
      [
        'QUJD',
        'ICBTdHJhw59lIDcg',
        'bmHDr3ZlIENhZsOpIOKEljU',
        'MTIzNCA1Ng',
        '5pel5pys6Kqe44OG44Kt44K544OI',
      ],
    ],
    [
      'StaticRegexReplace',
      { pattern: '(\\d+)', rewrite: '<\\1>', replace_global: false },
      [],
      ['ABC', '  Straße <7> ', 'naïve Café №<5>', '<1234> 56', '日本語テキスト'],
    ],
    [
      'StaticRegexReplace',
      { pattern: 'x*', rewrite: '-' },
      [],
      [
        '-A-B-C-',
        '- - -S-t-r-a-ß-e- -7- -',
        '-n-a-ï-v-e- -C-a-f-é- -№-5-',
        '-1-2-3-4- -5-6-',
        '-日-本-語-テ-キ-ス-ト-',
      ],
    ],
    ['StaticRegexFullMatch', { pattern: '[A-Za-z ]+' }, [], [1, 0, 0, 0, 0]],
    [
      'Substr',
      { unit: 'UTF8_CHAR' },
      [
        { dtype: 'INT32', shape: [], data: [0] },
        { dtype: 'INT32', shape: [], data: [2] },
      ],
      ['AB', '  ', 'na', '12', '日本'],
    ],
    [
      'Substr',
      {},
      [
        { dtype: 'INT32', shape: [], data: [-2] },
        { dtype: 'INT32', shape: [], data: [1] },
      ],
      ['B', '7', Uint8Array.of(0x96), '5', Uint8Array.of(0x83)],
    ],
  ])('%s %j', async (operation, attributes, constants, wanted) => {
    const [answer] = await run(operation, five, { attributes, constants });
    expect(answer).toEqual({ shape: [5], data: wanted });
  });

  it('splits at white space or at a separator', async () => {
    const lines = texts('a b  c', '', ' x ', 'one,two,,four');
    const separator = (text: string): TensorLiteral => ({
      dtype: 'BYTES',
      shape: [],
      data: [text],
    });
    const words = await run('StringSplitV2', lines, { constants: [separator('')], outputs: 3 });
    expect(words.map(({ data }) => data)).toEqual([
      [0n, 0n, 0n, 1n, 0n, 2n, 2n, 0n, 3n, 0n],
      ['a', 'b', 'c', 'x', 'one,two,,four'],
      [4n, 3n],
    ]);
    const fields = await run('StringSplitV2', lines, {
      constants: [separator(',')],
      attributes: { maxsplit: 2 },
      outputs: 3,
    });
    expect(fields[1]?.data).toEqual(['a b  c', '', ' x ', 'one', 'two', ',four']);
    const any = await run('StringSplit', lines, { constants: [separator(' ,')], outputs: 3 });
    expect(any[1]?.data).toEqual(['a', 'b', 'c', 'x', 'one', 'two', 'four']);
  });

  it('reads numbers as they are written, rounded once', async () => {
    const numbers = texts(
      '1.5',
      ' -7',
      '12345678',
      '3e2',
      'inf',
      '-INF',
      '1e-50',
      '16777217.0000001',
      '0x1F',
      '.5 ',
    );
    const [floats] = await run('StringToNumber', numbers);
    expect(floats?.data).toEqual([
      1.5,
      -7,
      12345678,
      300,
      Infinity,
      -Infinity,
      0,
      16777218,
      31,
      0.5,
    ]);
    const whole = texts('9223372036854775807', ' -12 ');
    const [integers] = await run('StringToNumber', whole, {
      attributes: { out_type: { type: 'INT64' } },
    });
    expect(integers?.data).toEqual([9223372036854775807n, -12n]);
    for (const text of ['abc', '', '1.5x', '1 2'])
      await expect(run('StringToNumber', texts(text))).rejects.toThrow(/is no number of FP32/);
  });

  it.each<[Record<string, AttributeLiteral>, string[]]>([
    [{}, ['1.500000', '-0.000012', '1234567.875000', 'inf', 'nan']],
    [{ precision: 3 }, ['1.500', '-0.000', '1234567.875', 'inf', 'nan']],
    [{ precision: 0 }, ['2', '-0', '1234568', 'inf', 'nan']],
    [{ shortest: true }, ['1.5', '-1.2e-05', '1.23457e+06', 'inf', 'nan']],
    [{ scientific: true, precision: 2 }, ['1.50e+00', '-1.20e-05', '1.23e+06', 'inf', 'nan']],
    [
      { width: 10, fill: '0', precision: 1 },
      ['00000001.5', '-0000000.0', '01234567.9', '       inf', '       nan'],
    ],
  ])('writes numbers as printf does: %j', async (attributes, wanted) => {
    const given = {
      dtype: 'FP64' as const,
      shape: [5],
      data: [1.5, -1.2e-5, 1234567.875, Infinity, NaN],
    };
    const [answer] = await run('AsString', given, { attributes });
    expect(answer?.data).toEqual(wanted);
  });

  it('joins along axes, the first that is named innermost', async () => {
    const given: TensorLiteral = { dtype: 'BYTES', shape: [2, 2], data: ['a', 'b', 'c', 'd'] };
    const axes = (...data: number[]): TensorLiteral => ({
      dtype: 'INT32',
      shape: [data.length],
      data,
    });
    const joined = async (...named: number[]) =>
      (await run('ReduceJoin', given, { constants: [axes(...named)] }))[0];
    expect(await joined(0)).toEqual({ shape: [2], data: ['ac', 'bd'] });
    expect(await joined(-1)).toEqual({ shape: [2], data: ['ab', 'cd'] });
    expect(await joined(0, 1)).toEqual({ shape: [], data: ['acbd'] });
    expect(await joined(1, 0)).toEqual({ shape: [], data: ['abcd'] });
  });

  it('makes n-grams', async () => {
    const splits: TensorLiteral = { dtype: 'INT64', shape: [3], data: [0, 4, 6] };
    const letters = texts('a', 'b', 'c', 'd', 'e', 'f');
    const attributes = {
      separator: '|',
      ngram_widths: [3],
      left_pad: 'LP',
      right_pad: 'RP',
      pad_width: 1,
      preserve_short_sequences: false,
    };
    const [ngrams, begins] = await run('StringNGrams', letters, {
      constants: [splits],
      attributes,
      outputs: 2,
    });
    expect(ngrams?.data).toEqual(['LP|a|b', 'a|b|c', 'b|c|d', 'c|d|RP', 'LP|e|f', 'e|f|RP']);
    expect(begins?.data).toEqual([0n, 4n, 6n]);
    const short = { ...attributes, pad_width: 0, preserve_short_sequences: true };
    const kept = await run('StringNGrams', letters, {
      constants: [splits],
      attributes: short,
      outputs: 2,
    });
    expect(kept[0]?.data).toEqual(['a|b|c', 'b|c|d', 'e|f']);
  });

  it('takes Unicode apart', async () => {
    const [splits, points] = await run('UnicodeDecode', texts('aé', '', '日😀'), {
      attributes: { input_encoding: 'UTF-8' },
      outputs: 2,
    });
    expect(splits?.data).toEqual([0n, 2n, 2n, 4n]);
    expect(points?.data).toEqual([97, 233, 0x65e5, 0x1f600]);
  });

  it.each([
    ['StaticRegexReplace', { pattern: '(?=a)', rewrite: '' }],
    ['StaticRegexReplace', { pattern: '(a)\\1', rewrite: '' }],
    ['StaticRegexFullMatch', { pattern: '(a{1000}){1000}' }],
    ['StaticRegexReplace', { pattern: 'a', rewrite: '\\x' }],
  ])('%s refuses %j by name', async (operation, attributes) => {
    await expect(run(operation, five, { attributes })).rejects.toThrow(
      new RegExp(`${operation}.*"y".*RE2`),
    );
  });
});
