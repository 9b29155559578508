import type { DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { Layer } from '../layer.js';
import { tensorsOf, type LayerCall } from '../layer-call.js';
import type { LayerRule } from '../layer-rule.js';

/** A lookup that must not be counted: larger than any number of categories. */
const NOWHERE = 2 ** 52;

export const preprocessingLayers: Record<string, LayerRule> = {
  CategoryEncoding: {
    compute: (call) => encoded(call, call.tensor.value, categories(call), 'multi_hot'),
  },
  Discretization: { compute: discretised },
  Hashing: { compute: hashed },
  StringLookup: { compute: (call) => lookedUp(call, 'BYTES') },
  IntegerLookup: {
    compute: (call) =>
      lookedUp(call, call.layer.text('vocabulary_dtype', 'int64') === 'int32' ? 'INT32' : 'INT64'),
  },
  TextVectorization: { compute: vectorised },
};

function categories(call: LayerCall): number {
  const { layer } = call;
  return layer.has('num_tokens') ? layer.integer('num_tokens') : layer.integer('max_tokens');
}

function modeOf(layer: Layer, absent: string): string {
  const mode = layer.text('output_mode', absent).toLowerCase();
  if (layer.flag('sparse', false)) layer.unsupported('its output is sparse');
  return mode === 'binary' ? 'multi_hot' : mode;
}

/** What a lookup answers, as numbers, or as ones and counts at them (`encode_categorical_inputs`). */
function encoded(
  call: LayerCall,
  ids: GraphValue,
  depth: number,
  absent: string,
  dtype: DType = call.layer.dtype,
): GraphValue {
  const { graph, shapes, layer } = call;
  const mode = modeOf(layer, absent);
  if (mode === 'int') return graph.cast(ids, dtype);
  if (depth < 1 || depth > 2 ** 24) return call.unsupported(`it has ${depth} categories`);
  const rank = call.rankOf(ids);
  const numbers = graph.cast(ids, 'INT64');
  const all = shapes.range(graph.integers([depth]));
  const hits = (value: GraphValue) =>
    graph.op('Equal', [shapes.unsqueeze(value, [call.rankOf(value)]), all]);
  if (mode === 'one_hot') {
    const single = rank > 1 && (ids.shape?.[rank - 1] ?? -1) === 1;
    if (rank > 1 && !single && !layer.isKeras3)
      return call.unsupported('it makes one-hot vectors of several values a row');
    return graph.cast(hits(single ? shapes.squeeze(numbers, [rank - 1]) : numbers), dtype);
  }
  if (mode !== 'multi_hot' && mode !== 'count')
    return call.unsupported(`its output_mode is ${JSON.stringify(mode.slice(0, 40))}`);
  if (rank !== 2)
    return call.unsupported(`its output_mode is ${mode} and its input has ${rank} dimensions`);
  const given = graph.cast(hits(numbers), dtype.startsWith('FP') ? dtype : 'INT64');
  const weights = tensorsOf(call.argument('count_weights', 1) ?? null)[0];
  const weighted =
    weights && mode === 'count'
      ? graph.op('Mul', [given, shapes.unsqueeze(graph.cast(weights.value, given.dtype), [2])])
      : given;
  const reduced = shapes.reduce(mode === 'count' ? 'ReduceSum' : 'ReduceMax', weighted, [1], false);
  return graph.cast(reduced, dtype);
}

/** The number of boundaries that are not larger (`Bucketize`); all of them for NaN. */
function discretised(call: LayerCall): GraphValue {
  const { graph, shapes, layer } = call;
  const part = layer.has('bin_boundaries');
  if (!part) return call.unsupported('its boundaries are not in its configuration');
  const boundaries = Float32Array.from(part.numbers());
  const { value } = call.tensor;
  const dtype: DType = value.dtype === 'FP64' ? 'FP64' : 'FP32';
  const last = shapes.unsqueeze(graph.cast(value, dtype), [call.rank]);
  const edges = graph.cast(graph.constant('FP32', [boundaries.length], boundaries), dtype);
  const larger = graph.cast(graph.op('Less', [last, edges]), 'INT64');
  const above = shapes.reduce('ReduceSum', larger, [-1], false);
  const places = graph.op('Sub', [graph.scalar('INT64', boundaries.length), above]);
  return encoded(call, places, boundaries.length + 1, 'int');
}

/** FarmHash, or SipHash with a salt, of texts or of the decimal digits of integers. */
function buckets(call: LayerCall, value: GraphValue, count: number): GraphValue {
  const { graph, layer } = call;
  const text = value.dtype === 'BYTES' ? value : digits(call, value);
  const salt = layer.has('salt');
  const keys = !salt
    ? undefined
    : Array.isArray(salt.value)
      ? salt.list().map((item) => item.number())
      : [salt.number(), salt.number()];
  if (keys?.some((key) => !Number.isSafeInteger(key)) || (keys && keys.length !== 2))
    return call.unsupported('its salt is no pair of integers');
  const [made] = graph.kernel('hash-buckets', [text], [{ dtype: 'INT64', shape: text.shape }], {
    attributes: { hash: keys ? 'sip' : 'farm', buckets: count },
    weights: keys
      ? { key: { dtype: 'INT64', shape: [2], data: BigInt64Array.from(keys, BigInt) } }
      : {},
  });
  return made ?? call.unsupported('it has no hashes');
}

function digits(call: LayerCall, value: GraphValue): GraphValue {
  if (!/^U?INT/.test(value.dtype)) return call.unsupported(`it hashes ${value.dtype}`);
  const [text] = call.graph.kernel(
    'number-to-text',
    [value],
    [{ dtype: 'BYTES', shape: value.shape }],
    {
      attributes: { conversion: 'd', precision: -1, width: -1, fill: '' },
    },
  );
  return text ?? value;
}

function hashed(call: LayerCall): GraphValue {
  const { graph, layer } = call;
  const bins = layer.integer('num_bins');
  const masked = layer.has('mask_value');
  const { value } = call.tensor;
  if (bins < 1 || (masked && bins < 2)) return call.unsupported(`it has ${bins} bins`);
  let places = buckets(call, value, masked ? bins - 1 : bins);
  if (masked) {
    const next = graph.op('Add', [places, graph.scalar('INT64', 1)]);
    const isText = value.dtype === 'BYTES';
    const wanted = isText
      ? graph.constant('BYTES', [], [masked.text()])
      : graph.cast(graph.scalar('INT64', masked.number()), value.dtype);
    const equal = graph.op('Equal', [value, wanted]);
    places = graph.op('Where', [equal, graph.scalar('INT64', 0), next]);
  }
  return encoded(
    call,
    places,
    bins,
    'int',
    modeOf(layer, 'int') === 'int' ? integerOr(layer, 'INT64') : layer.dtype,
  );
}

function integerOr(layer: Layer, dtype: DType): DType {
  return layer.dtype.startsWith('INT') ? layer.dtype : dtype;
}

/** A vocabulary and what stands before it: the mask, and places for what it does not have. */
interface Vocabulary {
  tokens: string[];
  mask: string | undefined;
  unknown: string;
  /** Places for unknown values. */
  places: number;
  /** Where they begin. */
  start: number;
  depth: number;
}

interface VocabularyGiven {
  isText: boolean;
  mode: string;
  mask: string | undefined;
  unknown: string;
  places: number;
}

function vocabularyOf(layer: Layer, given: VocabularyGiven): Vocabulary {
  const listed = layer.has('vocabulary');
  const file = layer.assets.get('vocabulary.txt');
  const words = listed
    ? listed.list().map(({ value }) => String(value))
    : file
      ? new TextDecoder().decode(file).split('\n')
      : layer.unsupported(
          'its vocabulary is neither in its configuration nor in the file; adapt it, and save a .keras file',
        );
  const { mask, unknown, places, mode } = given;
  const start = mask !== undefined && mode === 'int' ? 1 : 0;
  const special = [
    ...Array.from({ length: start }, () => mask ?? ''),
    ...Array.from({ length: places }, () => unknown),
  ];
  const found = special.length > 0 && special.every((word, i) => word === words[i]);
  const tokens = found ? words.slice(special.length) : words;
  if (new Set(tokens).size < tokens.length) layer.unsupported('its vocabulary has a word twice');
  const padded = layer.flag('pad_to_max_tokens', false);
  const size = start + places + tokens.length;
  return {
    tokens,
    mask,
    unknown,
    places,
    start,
    depth: padded ? layer.integer('max_tokens') : size,
  };
}

function special(layer: Layer, name: string, absent: string | undefined): string | undefined {
  const part = layer.config.optional(name);
  if (part === undefined) return absent;
  if (part.value === null) return undefined;
  return typeof part.value === 'number' ? String(part.value) : part.text();
}

function lookedUp(call: LayerCall, dtype: DType): GraphValue {
  const { graph, layer } = call;
  const mode = modeOf(layer, 'int');
  const isText = dtype === 'BYTES';
  const vocabulary = vocabularyOf(layer, {
    isText,
    mode,
    mask: special(layer, 'mask_token', isText && !layer.isKeras3 ? '' : undefined),
    unknown: special(layer, 'oov_token', isText ? '[UNK]' : '-1') ?? '',
    places: layer.integer('num_oov_indices', 1),
  });
  const given = call.tensor.value;
  if (layer.flag('invert', false)) return inverted(call, given, vocabulary, dtype);
  if (isText !== (given.dtype === 'BYTES')) return call.unsupported(`its input is ${given.dtype}`);
  const value = isText ? given : graph.cast(given, dtype);
  const made = lookUp(call, value, vocabulary, dtype, mode);
  const numbers: DType = layer.isKeras3 || mode === 'int' ? 'INT64' : floatOr(layer);
  return encoded(call, made, vocabulary.depth, 'int', numbers);
}

function floatOr(layer: Layer): DType {
  return layer.dtype.startsWith('FP') ? layer.dtype : 'FP32';
}

/** INT64: the place of each value in the vocabulary. */
function lookUp(
  call: LayerCall,
  value: GraphValue,
  { tokens, mask, places, start }: Vocabulary,
  dtype: DType,
  mode: string,
): GraphValue {
  const { graph, layer } = call;
  const first = start + places;
  const keys = [...tokens];
  const numbers = tokens.map((_, i) => first + i);
  if (mask !== undefined && !tokens.includes(mask)) {
    keys.push(mask);
    numbers.push(mode === 'int' ? 0 : NOWHERE);
  }
  // Without places for them, unknown values are faults of the request: nothing lies there.
  const unknown = places === 1 ? start : -1;
  const found = table(
    call,
    value,
    { keys, dtype },
    BigInt64Array.from(numbers, BigInt),
    graph.scalar('INT64', unknown),
  );
  if (places === 1) return found;
  const missing = graph.op('Less', [found, graph.scalar('INT64', 0)]);
  if (places === 0) return checked(call, found, missing);
  const isPlain = dtype !== 'BYTES' && layer.text('oov_method', 'floormod') !== 'farmhash';
  const count = graph.scalar('INT64', places);
  const bucket = isPlain
    ? graph.op('Mod', [graph.cast(value, 'INT64'), count])
    : buckets(call, value, places);
  return graph.op('Where', [
    missing,
    graph.op('Add', [bucket, graph.scalar('INT64', start)]),
    found,
  ]);
}

/** Where a value is missing, a place is asked for that is not there: ONNX Runtime then refuses the request. */
function checked(call: LayerCall, found: GraphValue, missing: GraphValue): GraphValue {
  const { graph } = call;
  const outside = graph.op('Gather', [graph.integers([0]), graph.cast(missing, 'INT64')], {
    axis: 0,
  });
  return graph.op('Add', [found, outside]);
}

function table(
  call: LayerCall,
  value: GraphValue,
  { keys, dtype }: { keys: string[]; dtype: DType },
  numbers: BigInt64Array,
  absent: GraphValue,
): GraphValue {
  const { graph } = call;
  const isText = dtype === 'BYTES';
  const own = isText ? undefined : integerKeys(call, keys);
  const [found] = graph.kernel(
    'look-up',
    [graph.cast(value, isText ? 'BYTES' : 'INT64'), absent],
    [{ dtype: 'INT64', shape: value.shape }],
    {
      attributes: isText ? { keys } : {},
      weights: {
        ...(own && { keys: { dtype: 'INT64', shape: [own.length], data: own } }),
        values: { dtype: 'INT64', shape: [numbers.length], data: numbers },
      },
    },
  );
  return found ?? call.unsupported('it finds nothing');
}

function integerKeys(call: LayerCall, keys: string[]): BigInt64Array {
  if (!keys.every((key) => /^-?\d+$/.test(key)))
    return call.unsupported('its vocabulary is not of integers');
  return BigInt64Array.from(keys, BigInt);
}

/** The words at places. */
function inverted(
  call: LayerCall,
  given: GraphValue,
  { tokens, mask, unknown, places, start }: Vocabulary,
  dtype: DType,
): GraphValue {
  const { graph } = call;
  const first = start + places;
  const numbers = tokens.map((_, i) => BigInt(first + i));
  const words = [...tokens];
  if (mask !== undefined) {
    numbers.unshift(0n);
    words.unshift(mask);
  }
  const keys = BigInt64Array.from(numbers);
  const isText = dtype === 'BYTES';
  const values = isText ? undefined : integerKeys(call, words);
  const absent = isText
    ? graph.constant('BYTES', [], [unknown])
    : graph.constant('INT64', [], BigInt64Array.of(BigInt(unknown)));
  const made: DType = isText ? 'BYTES' : 'INT64';
  const [found] = graph.kernel(
    'look-up',
    [graph.cast(given, 'INT64'), absent],
    [{ dtype: made, shape: given.shape }],
    {
      attributes: isText ? { values: words } : {},
      weights: {
        keys: { dtype: 'INT64', shape: [keys.length], data: keys },
        ...(values && { values: { dtype: 'INT64', shape: [values.length], data: values } }),
      },
    },
  );
  return graph.cast(found ?? call.unsupported('it finds nothing'), dtype);
}

/** What `lower_and_strip_punctuation` takes out (`DEFAULT_STRIP_REGEX`). */
const PUNCTUATION = '[!"#$%&()\\*\\+,-\\./:;<=>?@\\[\\\\\\]^_`{|}~\\\']';

function vectorised(call: LayerCall): GraphValue {
  const { graph, shapes, layer } = call;
  const mode = modeOf(layer, 'int');
  for (const name of ['ngrams', 'ragged']) {
    const value = layer.has(name)?.value;
    if (value !== undefined && value !== false) return call.unsupported(`${name} is set`);
  }
  const vocabulary = vocabularyOf(layer, {
    isText: true,
    mode,
    mask: '',
    unknown: '[UNK]',
    places: 1,
  });
  let text = standardised(call, call.tensor.value);
  const rank = call.rankOf(text);
  if (rank === 2) {
    if (text.shape?.[1] !== 1) return call.unsupported('it takes one text a row');
    text = shapes.squeeze(text, [1]);
  } else if (rank !== 1) return call.unsupported('it takes one text a row');
  const [places, words, size] = splitWords(call, text);
  const ids = lookUp(call, words, vocabulary, 'BYTES', mode);
  const rows = shapes.size(text, 0);
  const longest = shapes.slice(size, 0, 1, 2);
  const wanted = layer.has('output_sequence_length')?.integer(0, 2 ** 24);
  const width = graph.op('Add', [longest, graph.integers([wanted ?? 0])]);
  // What is padded is the mask in texts of numbers, and counts nowhere.
  const empty = graph.scalar('INT64', mode === 'int' ? 0 : NOWHERE);
  const base = graph.op('Expand', [empty, shapes.join([rows, width])]);
  const whole = graph.op('ScatterND', [base, places, ids]);
  if (mode !== 'int') {
    const numbers = layer.isKeras3 ? 'INT64' : floatOr(layer);
    return encoded(call, whole, vocabulary.depth, 'int', numbers);
  }
  if (wanted === undefined) return whole;
  const cut = shapes.slice(whole, 1, 0, wanted);
  return shapes.reshape(cut, [rows, wanted]);
}

function standardised(call: LayerCall, text: GraphValue): GraphValue {
  const { graph, layer } = call;
  const how = layer.config.optional('standardize')?.value ?? null;
  const kernel = (name: string, value: GraphValue, attributes: Record<string, string | boolean>) =>
    graph.kernel(name, [value], [{ dtype: 'BYTES', shape: value.shape }], { attributes })[0] ??
    value;
  const lower = (value: GraphValue) => kernel('lower-text', value, { encoding: 'ascii' });
  const strip = (value: GraphValue) =>
    kernel('replace-pattern', value, { pattern: PUNCTUATION, rewrite: '', all: true });
  switch (how) {
    case null:
      return text;
    case 'lower':
      return lower(text);
    case 'strip_punctuation':
      return strip(text);
    case 'lower_and_strip_punctuation':
      return strip(lower(text));
    default:
      return call.unsupported('its standardize is code of its own');
  }
}

/** The words of all texts: where each stands, the words, and the size of the table that they make. */
function splitWords(call: LayerCall, text: GraphValue): [GraphValue, GraphValue, GraphValue] {
  const { graph, layer } = call;
  const how = layer.config.optional('split')?.value ?? null;
  if (how !== 'whitespace')
    return call.unsupported(`its split is ${JSON.stringify(how).slice(0, 60)}`);
  const [places, words, size] = graph.kernel(
    'split-text',
    [text],
    [
      { dtype: 'INT64', shape: [-1, 2] },
      { dtype: 'BYTES', shape: [-1] },
      { dtype: 'INT64', shape: [2] },
    ],
    { attributes: { separator: '', most: -1 } },
  );
  return places && words && size ? [places, words, size] : call.unsupported('it splits nothing');
}
