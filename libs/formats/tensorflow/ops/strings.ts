import { isRewrite, patternFault, type Attribute } from '#program';
import { broadcast } from '../../tensor-graph/infer.js';
import { axisOf, type Known, type Shape } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';

/** A kernel of one input whose output has its shape. */
function alike(kernel: string, attributes: (op: TfOp) => Record<string, Attribute>): OpRule {
  return (op) => {
    const input = op.tensor(0);
    const output = { dtype: 'BYTES' as const, shape: input.shape };
    return op.graph.kernel(kernel, [input], [output], { attributes: attributes(op) });
  };
}

function encodingOf(op: TfOp): string {
  const encoding = op.text('encoding', '').toLowerCase();
  if (encoding === '') return 'ascii';
  return encoding === 'utf-8' ? encoding : op.unsupported(`its encoding ${encoding} is not.`);
}

export function unitOf(op: TfOp): string {
  const unit = op.text('unit', 'BYTE');
  if (unit === 'BYTE') return 'byte';
  return unit === 'UTF8_CHAR' ? 'character' : op.unsupported(`its unit ${unit} is not.`);
}

/** The only element of a string input that must be constant. */
export function constantText(op: TfOp, i: number, what: string): string {
  const { constant } = op.tensor(i);
  const text = Array.isArray(constant) && constant.length === 1 ? constant[0] : undefined;
  return typeof text === 'string'
    ? text
    : op.unsupported(`its ${what} must be one text that does not depend on the request.`);
}

function patternOf(op: TfOp, pattern: string): string {
  const fault = patternFault(pattern);
  return fault === undefined ? pattern : op.unsupported(`RE2 refuses its pattern: ${fault}.`);
}

function replace(op: TfOp, pattern: string, rewrite: string) {
  if (!isRewrite(rewrite)) op.unsupported(`its rewrite ${JSON.stringify(rewrite)} is none of RE2.`);
  const input = op.tensor(0);
  const attributes = {
    pattern: patternOf(op, pattern),
    rewrite,
    all: op.flag('replace_global', true),
  };
  return op.graph.kernel('replace-pattern', [input], [{ ...bytes(input.shape) }], { attributes });
}

function match(op: TfOp, pattern: string) {
  const input = op.tensor(0);
  const output = { dtype: 'BOOL' as const, shape: input.shape };
  const attributes = { pattern: patternOf(op, pattern) };
  return op.graph.kernel('match-pattern', [input], [output], { attributes });
}

function bytes(shape: Shape | undefined): Known {
  return { dtype: 'BYTES', shape };
}

const reduceJoin: OpRule = (op) => {
  const input = op.tensor(0);
  const given = op.integersOf(1, 'axes');
  const rank = op.rank(0);
  // Without axes TensorFlow joins nothing; tf.strings.reduce_join names all of them itself.
  const axes = given.map((axis) => axisOf(axis, rank));
  if (axes.some((axis) => axis < 0 || axis >= rank) || new Set(axes).size < axes.length)
    op.unsupported('its axes are not dimensions of its input.');
  const keep = op.flag('keep_dims', false);
  const shape = keep
    ? input.shape?.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : input.shape?.filter((_, axis) => !axes.includes(axis));
  return op.graph.kernel('reduce-join', [input], [bytes(shape)], {
    attributes: { separator: op.text('separator', ''), keep },
    weights: {
      axes: { dtype: 'INT64', shape: [axes.length], data: BigInt64Array.from(axes, BigInt) },
    },
  });
};

/** Outputs of a split: places, parts and the shape of the table that they would be. */
const PARTS: Known[] = [
  { dtype: 'INT64', shape: [-1, 2] },
  { dtype: 'BYTES', shape: [-1] },
  { dtype: 'INT64', shape: [2] },
];

const splitV2: OpRule = (op) => {
  const attributes = {
    separator: constantText(op, 1, 'separator'),
    most: Math.max(-1, op.integer('maxsplit', -1)),
  };
  return op.graph.kernel('split-text', [op.tensor(0)], PARTS, { attributes });
};

const splitAtAny: OpRule = (op) => {
  const attributes = {
    separators: constantText(op, 1, 'delimiter'),
    skip: op.flag('skip_empty', true),
  };
  return op.graph.kernel('split-text-at-any', [op.tensor(0)], PARTS, { attributes });
};

const substr: OpRule = (op) => {
  const inputs = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const shape = broadcast(...inputs.map((input) => input.shape));
  const attributes = { unit: unitOf(op) };
  return op.graph.kernel('sub-text', inputs, [bytes(shape)], { attributes });
};

const join: OpRule = (op) => {
  const inputs = op.tensors();
  const shape = inputs.some((input) => !input.shape)
    ? undefined
    : (inputs.find((input) => input.shape && input.shape.length > 0)?.shape ?? []);
  const attributes = { separator: op.text('separator', '') };
  return op.graph.kernel('join-texts', inputs, [bytes(shape)], { attributes });
};

const length: OpRule = (op) => {
  const input = op.tensor(0);
  const attributes = { unit: unitOf(op) };
  return op.graph.kernel('text-length', [input], [{ dtype: 'INT32', shape: input.shape }], {
    attributes,
  });
};

const ngrams: OpRule = (op) => {
  const attributes = {
    separator: op.text('separator', ''),
    widths: op.integers('ngram_widths'),
    left: op.text('left_pad', ''),
    right: op.text('right_pad', ''),
    pad: Math.max(-1, op.integer('pad_width', 0)),
    short: op.flag('preserve_short_sequences', false),
  };
  if (attributes.widths.some((width) => width < 1 || width > 10_000))
    op.unsupported('its widths are out of range.');
  const splits = op.tensor(1);
  const [tokens, begins] = op.graph.kernel(
    'text-ngrams',
    [op.tensor(0), splits],
    [bytes([-1]), { dtype: 'INT64', shape: splits.shape }],
    { attributes },
  );
  if (!tokens || !begins) return op.unsupported('it has no outputs.');
  return [tokens, op.graph.cast(begins, splits.dtype)];
};

const toNumber: OpRule = (op) => {
  const input = op.tensor(0);
  const dtype = op.dtype('out_type', 'FP32');
  if (!['FP32', 'FP64', 'INT32', 'INT64'].includes(dtype)) op.unsupported(`${dtype} is not.`);
  const output = { dtype, shape: input.shape };
  return op.graph.kernel('text-to-number', [input], [output], { attributes: { dtype } });
};

const asString: OpRule = (op) => {
  const input = op.tensor(0);
  if (input.dtype === 'BYTES') return [input];
  const isFloat = input.dtype === 'FP32' || input.dtype === 'FP64';
  const [scientific, shortest] = [op.flag('scientific', false), op.flag('shortest', false)];
  const precision = op.integer('precision', -1);
  const width = op.integer('width', -1);
  const fill = op.text('fill', '');
  const integer = /^U?INT\d+$/.test(input.dtype);
  if (!isFloat && !integer && input.dtype !== 'BOOL') op.unsupported(`${input.dtype} is not.`);
  if (!['', ' ', '+', '-', '0'].includes(fill)) op.unsupported(`its fill ${fill} is not.`);
  if (precision > 1000 || width > 1000) op.unsupported('its width or precision is too large.');
  const float = scientific ? 'e' : shortest ? 'g' : 'f';
  const conversion = input.dtype === 'BOOL' ? 'bool' : isFloat ? float : 'd';
  return op.graph.kernel('number-to-text', [input], [bytes(input.shape)], {
    attributes: { conversion, precision, width, fill },
  });
};

function hash(name: 'farm' | 'sip' | 'murmur'): OpRule {
  return (op) => {
    const input = op.tensor(0);
    const buckets = op.integer('num_buckets');
    const key = op.list('key').flatMap((item) => (item.kind === 'integer' ? [item.value] : []));
    const data = BigInt64Array.from(key);
    if (name === 'sip' && data.length !== 2) op.unsupported('its key must have two numbers.');
    return op.graph.kernel('hash-buckets', [input], [{ dtype: 'INT64', shape: input.shape }], {
      attributes: { hash: name, buckets },
      weights: name === 'sip' ? { key: { dtype: 'INT64', shape: [2], data } } : {},
    });
  };
}

const fingerprint: OpRule = (op) => {
  const input = op.tensor(0);
  if (input.dtype !== 'BYTES' || input.shape?.length !== 1)
    op.unsupported('only strings of one dimension have a fingerprint here.');
  if (constantText(op, 1, 'method') !== 'farmhash64') op.unsupported('its method is not known.');
  return op.graph.kernel(
    'fingerprint-64',
    [input],
    [{ dtype: 'UINT8', shape: [...(input.shape ?? []), 8] }],
  );
};

const decodeRaw: OpRule = (op) => {
  const input = op.tensor(0);
  const dtype = op.dtype('out_type');
  const shape = input.shape && [...input.shape, -1];
  return op.graph.kernel('decode-raw', [input], [{ dtype, shape }], {
    attributes: { dtype, little: op.flag('little_endian', true) },
  });
};

const UNICODE = ['utf-8', 'utf-16-be', 'utf-32-be'];

function unicode(op: TfOp, name: string, absent?: string): string {
  const encoding = op
    .text(name, absent)
    .toLowerCase()
    .replace(/^utf-?(\d+)-?(be)?$/, (_, bits: string) =>
      bits === '8' ? 'utf-8' : `utf-${bits}-be`,
    );
  return UNICODE.includes(encoding) ? encoding : op.unsupported(`its encoding ${encoding} is not.`);
}

function repairs(op: TfOp) {
  return {
    errors: op.text('errors', 'replace'),
    replacement: op.integer('replacement_char', 65533),
    controls: op.flag('replace_control_characters', false),
  };
}

const decodeUnicode: OpRule = (op) => {
  const attributes = { encoding: unicode(op, 'input_encoding'), ...repairs(op) };
  const rows = op.tensor(0);
  const known: Known[] = [
    { dtype: 'INT64', shape: rows.shape?.map((size) => (size < 0 ? -1 : size + 1)) },
    { dtype: 'INT32', shape: [-1] },
    { dtype: 'INT64', shape: [-1] },
  ];
  const [splits, points, places] = op.graph.kernel('decode-unicode', [rows], known, {
    attributes,
  });
  if (!splits || !points || !places) return op.unsupported('it has no outputs.');
  const begins = op.graph.cast(splits, op.dtype('Tsplits', 'INT64'));
  return op.node.op === 'UnicodeDecode' ? [begins, points] : [begins, points, places];
};

const encodeUnicode: OpRule = (op) => {
  const { errors, replacement } = repairs(op);
  const attributes = { output: unicode(op, 'output_encoding'), errors, replacement };
  const inputs: GraphValue[] = [op.tensor(0), op.tensor(1)];
  const shape = inputs[1]?.shape?.map((size) => (size < 0 ? -1 : size - 1));
  return op.graph.kernel('encode-unicode', inputs, [bytes(shape)], { attributes });
};

const transcode = alike('transcode-unicode', (op) => ({
  encoding: unicode(op, 'input_encoding'),
  output: unicode(op, 'output_encoding'),
  ...repairs(op),
}));

/** Strings: what ONNX has no operators for, or only for UTF-8. */
export const strings: Record<string, OpRule> = {
  StringLower: alike('lower-text', (op) => ({ encoding: encodingOf(op) })),
  StringUpper: alike('upper-text', (op) => ({ encoding: encodingOf(op) })),
  StringStrip: alike('strip-text', () => ({})),
  EncodeBase64: alike('encode-base64', (op) => ({ pad: op.flag('pad', false) })),
  DecodeBase64: alike('decode-base64', () => ({})),
  StringLength: length,
  Substr: substr,
  StringJoin: join,
  ReduceJoin: reduceJoin,
  StringSplitV2: splitV2,
  StringSplit: splitAtAny,
  StringNGrams: ngrams,
  StringToNumber: toNumber,
  AsString: asString,
  StaticRegexReplace: (op) => replace(op, op.text('pattern'), op.text('rewrite')),
  RegexReplace: (op) => replace(op, constantText(op, 1, 'pattern'), constantText(op, 2, 'rewrite')),
  StaticRegexFullMatch: (op) => match(op, op.text('pattern')),
  RegexFullMatch: (op) => match(op, constantText(op, 1, 'pattern')),
  StringToHashBucketFast: hash('farm'),
  StringToHashBucketStrong: hash('sip'),
  StringToHashBucket: hash('murmur'),
  Fingerprint: fingerprint,
  DecodeRaw: decodeRaw,
  ...all(decodeUnicode, 'UnicodeDecode UnicodeDecodeWithOffsets'),
  UnicodeEncode: encodeUnicode,
  UnicodeTranscode: transcode,
};
