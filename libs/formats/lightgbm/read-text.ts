import { DamagedModel } from '../importer.js';
import {
  MOST,
  type LightgbmLeaf,
  type LightgbmModel,
  type LightgbmSplit,
  type LightgbmTree,
} from './model.js';
import { readCategories } from './pandas-categories.js';

/** Reads what `save_model` writes (LightGBM's gbdt_model_text.cpp and tree.cpp). Throws DamagedModel. */
export function readText(text: string): LightgbmModel {
  const lines = new Lines(text);
  const header = new Block(
    'the header',
    lines.block((line) => line.startsWith('Tree=') || line === 'end of trees'),
  );
  const trees: LightgbmTree[] = [];
  const features = header.integer('max_feature_idx', -1, MOST.features) + 1;
  while (lines.present && lines.current.startsWith('Tree=')) {
    const name = lines.current.slice(0, 40);
    lines.next();
    trees.push(
      readTree(
        new Block(
          name,
          lines.block((line) => line === ''),
        ),
        features,
      ),
    );
    while (lines.present && lines.current === '') lines.next();
  }
  if (!lines.present || lines.current !== 'end of trees') {
    throw new DamagedModel(
      `After ${trees.length} trees there is no line "end of trees": the file is cut off.`,
    );
  }
  return {
    version: header.text('version'),
    features,
    featureNames: header.words('feature_names'),
    treesPerIteration: header.has('num_tree_per_iteration')
      ? header.integer('num_tree_per_iteration', 1, MOST.columns)
      : header.integer('num_class', 1, MOST.columns),
    objective: header.has('objective') ? header.text('objective') : undefined,
    averageOutput: header.has('average_output'),
    trees,
    ...readTail(lines, header, features),
  };
}

/** What stands behind the trees: parameters, and the categories of pandas columns. */
function readTail(lines: Lines, header: Block, features: number) {
  let categories: unknown[][] = [];
  let declared: string | undefined;
  for (; lines.present; lines.next()) {
    const { current } = lines;
    if (current.startsWith('pandas_categorical:')) categories = readCategories(current.slice(19));
    const parameter = /^\[categorical_feature: (.*)\]$/.exec(current);
    if (parameter) declared = parameter[1];
  }
  const infos = header.has('feature_infos') ? header.words('feature_infos') : [];
  // Of a numerical feature the range, `[1:2]`; of a categorical one its categories, `0:2:1`.
  const seen = infos.flatMap((info, i) => (/^-?\d+(?::-?\d+)*$/.test(info) ? [i] : []));
  const listed =
    declared && /^\d+(?:,\d+)*$/.test(declared) ? declared.split(',').map(Number) : seen;
  return {
    pandasCategories: categories,
    categoricalFeatures: [...new Set(listed)].filter((i) => i < features).toSorted((a, b) => a - b),
  };
}

function readTree(block: Block, features: number): LightgbmTree {
  const leafCount = block.integer('num_leaves', 1, MOST.leaves);
  const values = block.numbers('leaf_value', leafCount);
  const leaves =
    block.has('is_linear') && block.integer('is_linear', 0, 1) === 1
      ? readLinear(block, values, features)
      : values.map((value): LightgbmLeaf => ({ value }));
  return {
    name: block.name,
    splits: leafCount > 1 ? readSplits(block, leafCount - 1) : [],
    leaves,
  };
}

const CATEGORICAL = 1;
const DEFAULT_LEFT = 2;
const MISSING = ['None', 'Zero', 'NaN'] as const;

function readSplits(block: Block, count: number): LightgbmSplit[] {
  const features = block.numbers('split_feature', count);
  const thresholds = block.numbers('threshold', count);
  const left = block.numbers('left_child', count);
  const right = block.numbers('right_child', count);
  const types = block.has('decision_type')
    ? block.numbers('decision_type', count)
    : features.map(() => 0);
  const sets = readSets(block);
  return features.map((feature, i) => {
    const type = types[i] ?? 0;
    const missing = MISSING[(type >> 2) & 3];
    if (!Number.isInteger(type) || type < 0 || missing === undefined) {
      block.damaged(`decision_type ${type} is none of LightGBM's`);
    }
    const threshold = thresholds[i] ?? NaN;
    const test = type & CATEGORICAL ? sets[threshold] : threshold;
    if (test === undefined) block.damaged(`there is no set of categories ${threshold}`);
    return {
      feature,
      test,
      defaultLeft: (type & DEFAULT_LEFT) !== 0,
      missing,
      left: left[i] ?? NaN,
      right: right[i] ?? NaN,
    };
  });
}

function readSets(block: Block): Uint32Array[] {
  const count = block.integer('num_cat', 0, MOST.leaves);
  if (count === 0) return [];
  const bounds = block.numbers('cat_boundaries', count + 1);
  const words = block.numbers('cat_threshold', bounds.at(-1) ?? 0);
  return Array.from({ length: count }, (_, i) => {
    const [from = -1, to = -1] = [bounds[i], bounds[i + 1]];
    if (!(from >= 0 && to >= from && to <= words.length))
      block.damaged('cat_boundaries are out of order');
    return Uint32Array.from(words.slice(from, to));
  });
}

function readLinear(block: Block, values: number[], features: number): LightgbmLeaf[] {
  const constants = block.numbers('leaf_const', values.length);
  const counts = block.has('num_features')
    ? block.numbers('num_features', values.length)
    : values.map(() => 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const all = block.numbers('leaf_features', total);
  const coefficients = block.numbers('leaf_coeff', total);
  if (all.some((feature) => !Number.isInteger(feature) || feature < 0 || feature >= features)) {
    block.damaged('leaf_features has a feature that the model has not');
  }
  let at = 0;
  return values.map((value, i) => {
    const from = at;
    at += counts[i] ?? 0;
    return {
      value,
      linear: {
        constant: constants[i] ?? NaN,
        features: all.slice(from, at),
        coefficients: coefficients.slice(from, at),
      },
    };
  });
}

/** The lines of a text, one after the other. */
class Lines {
  current = '';
  present = true;
  private at = 0;

  constructor(private readonly text: string) {
    this.next();
  }

  next(): void {
    this.present = this.at < this.text.length;
    const end = this.text.indexOf('\n', this.at);
    const stop = end < 0 ? this.text.length : end;
    this.current = this.text.slice(this.at, stop).trimEnd();
    this.at = stop + 1;
  }

  /** The lines `key=value` up to the one that ends them; a line without `=` has no value. */
  block(ends: (line: string) => boolean): Map<string, string> {
    const entries = new Map<string, string>();
    for (; this.present && !ends(this.current); this.next()) {
      const equals = this.current.indexOf('=');
      if (equals < 0) entries.set(this.current, '');
      else entries.set(this.current.slice(0, equals), this.current.slice(equals + 1));
    }
    return entries;
  }
}

/** Lines `key=value` that belong together. */
class Block {
  constructor(
    readonly name: string,
    private readonly entries: Map<string, string>,
  ) {}

  damaged(message: string): never {
    throw new DamagedModel(`${this.name}: ${message}`);
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  text(key: string): string {
    return this.entries.get(key) ?? this.damaged(`has no "${key}"`);
  }

  words(key: string): string[] {
    const text = this.text(key).trim();
    return text === '' ? [] : text.split(/ +/);
  }

  integer(key: string, least: number, most: number): number {
    const text = this.text(key);
    const number = /^-?\d+$/.test(text) ? Number(text) : NaN;
    return number >= least && number <= most
      ? number
      : this.damaged(
          `${key} must be an integer from ${least} to ${most}, is "${text.slice(0, 40)}"`,
        );
  }

  numbers(key: string, count: number): number[] {
    const words = this.words(key);
    if (words.length !== count)
      this.damaged(`${key} must have ${count} numbers, has ${words.length}`);
    return words.map((word) => {
      const number = word === 'inf' ? Infinity : word === '-inf' ? -Infinity : Number(word);
      return Number.isNaN(number)
        ? this.damaged(`${key} has "${word.slice(0, 40)}", which is not a number`)
        : number;
    });
  }
}
