import {
  COLUMN_PREFIX,
  type Forest,
  type KernelNode,
  type ObliviousForest,
  type WeightRef,
} from '#program';
import type { NodeBuilder, ProgramBuilder } from '../program-builder.js';
import type { Answer, Estimator } from './estimator.js';
import { compilerOf } from './estimators.js';
import type { Fitted } from './fitted.js';
import type { Labels } from './labels.js';
import { markSparse, withSparse } from './sparse-tables.js';
import { columnOf, numbersTable, requestTable, tableOf, type Block, type Table } from './table.js';

/** What a column of the request is; undecided until an estimator uses it. */
export type ColumnType = 'numbers' | 'texts' | undefined;

/** How numbers are checked before an estimator sees them. */
export interface MatrixRules {
  /** Who reads, for messages and for the number of columns that it was fitted on. */
  owner: Fitted;
  features?: number | undefined;
  /** `pass` lets NaN through, as scikit-learn does where missing values have a meaning. */
  missing?: 'refuse' | 'pass';
  /** Numbers are cast to float32 first: what is too large for that is refused. */
  narrow?: boolean;
}

/** Columns whose names a message may use: each is written into the program. */
const MOST_NAMES = 1000;

/** The graph of one model while its estimators add to it. */
export class SklearnGraph implements NodeBuilder {
  private types: ColumnType[] = [];
  private columnNames: readonly string[] = [];
  private readonly requests = new Map<string, string>();
  /** Columns of texts take integers as well: they are categories of CatBoost. */
  integersAsTexts = false;
  private readonly made = new Map<string, string>();
  private readonly forests = new Map<Forest, Map<string, { scores: string; leaf: string }>>();

  constructor(private readonly builder: ProgramBuilder) {}

  /** The request as a table: columns with these names. */
  request(names: readonly string[]): Table {
    this.columnNames = names;
    this.types = names.map(() => undefined);
    return requestTable(names.map((_, i) => i));
  }

  get hasTexts(): boolean {
    return this.types.includes('texts');
  }

  kernel(
    name: string,
    inputs: string[],
    given: Pick<KernelNode, 'attributes' | 'weights'> = {},
  ): string {
    const texts = Object.values(given.attributes ?? {}).some(Array.isArray);
    if (given.weights || texts) return this.builder.kernel(name, inputs, given);
    const key = JSON.stringify([name, inputs, given.attributes]);
    return this.once(key, () => this.builder.kernel(name, inputs, given));
  }

  /** A forest that several outputs ask for is there once: it is most of what a model weighs. */
  forest(rows: string, forest: Forest): { scores: string; leaf: string } {
    const known = this.forests.get(forest) ?? new Map<string, { scores: string; leaf: string }>();
    const made = known.get(rows) ?? this.builder.forest(rows, forest);
    this.forests.set(forest, known.set(rows, made));
    return made;
  }

  /** Kernels are pure: what was made of the same values before need not be made again. */
  private once(key: string, make: () => string): string {
    const made = this.made.get(key) ?? make();
    this.made.set(key, made);
    return made;
  }

  oblivious(rows: string, forest: ObliviousForest): { scores: string; leaf: string } {
    return this.builder.oblivious(rows, forest);
  }

  get weights(): ProgramBuilder['weights'] {
    return this.builder.weights;
  }

  fp64(data: ArrayLike<number>, shape?: number[]): WeightRef {
    return this.weights.add('FP64', Float64Array.from(data), shape ?? [data.length]);
  }

  int32(data: ArrayLike<number>, shape?: number[]): WeightRef {
    return this.weights.add('INT32', Int32Array.from(data), shape ?? [data.length]);
  }

  uint8(data: ArrayLike<number>, shape?: number[]): WeightRef {
    return this.weights.add('UINT8', Uint8Array.from(data), shape ?? [data.length]);
  }

  /** What a fitted object can do. Throws UnsupportedModel where its class is not known. */
  compile(fitted: Fitted): Estimator {
    fitted.budget.countEstimator();
    return markSparse(fitted, compilerOf(fitted)(fitted, this));
  }

  /** All columns as one value FP64 `[rows, width]`, checked as scikit-learn does. */
  matrix(
    table: Table,
    { owner, features, missing = 'refuse', narrow = false }: MatrixRules,
  ): string {
    if (features !== undefined && features !== table.width) {
      owner.damaged(`was fitted on ${features} columns and is given ${table.width}`);
    }
    const value = this.unchecked(table, owner);
    // Who looks first is told of: a table is checked once.
    return this.once(`${value} ${missing} ${narrow}`, () =>
      this.builder.kernel('check-finite', [value], {
        attributes: {
          missing,
          dtype: narrow ? 'FP32' : 'FP64',
          owner: owner.class,
          ...this.namesFor(table),
        },
      }),
    );
  }

  /** All columns as one value, whatever is in them. */
  unchecked(table: Table, owner: Fitted): string {
    const values = table.blocks.map((block) => this.numbersOf(block, owner));
    const [only] = values;
    if (only !== undefined && values.length === 1) return only;
    if (only === undefined) return owner.unsupported('is given no columns at all');
    return this.kernel('join-tables', values);
  }

  /** For messages of kernels: what the request calls these columns, where they are columns of the request. */
  namesFor({ blocks, width }: Table): { names?: string[] } {
    const names = blocks.flatMap((block) =>
      block.kind === 'request' ? block.columns.map((c) => this.columnNames[c] ?? '') : [],
    );
    const known = names.length === width && width <= MOST_NAMES;
    // A made-up name in its place says nothing.
    return known && names.some((name, i) => name !== `x${i}`) ? { names } : {};
  }

  /** Whether a column is of texts; undefined where the request's column is not decided yet. */
  isText(table: Table, column: number): boolean | undefined {
    const { block, index } = columnOf(table, column);
    if (block.kind !== 'request') return block.kind === 'texts';
    const type = this.types[block.columns[index] ?? -1];
    return type && type === 'texts';
  }

  /** What messages call a column: its name in the request, else its number. */
  nameOf(table: Table, column: number): string {
    const { block, index } = columnOf(table, column);
    const requested = block.kind === 'request' ? block.columns[index] : undefined;
    return this.columnNames[requested ?? -1] ?? String(column);
  }

  /** A column as BYTES `[rows]`. */
  texts(table: Table, column: number, owner: Fitted): string {
    const { block, index } = columnOf(table, column);
    if (block.kind === 'texts') return block.value;
    if (block.kind === 'numbers') return owner.unsupported('reads numbers as texts');
    const requested = block.columns[index] ?? -1;
    this.decide(requested, 'texts', owner);
    return `${COLUMN_PREFIX}${this.columnNames[requested] ?? ''}`;
  }

  /** Some columns, in this order. */
  select(table: Table, columns: ArrayLike<number>): Table {
    return withSparse(this.selected(table, columns), table.sparse === true);
  }

  private selected(table: Table, columns: ArrayLike<number>): Table {
    const blocks: Block[] = [];
    for (let i = 0; i < columns.length;) {
      const { block, index } = columnOf(table, columns[i] ?? -1);
      const indices = [index];
      for (i++; i < columns.length; i++) {
        const next = columnOf(table, columns[i] ?? -1);
        if (next.block !== block) break;
        indices.push(next.index);
      }
      blocks.push(this.selectIn(block, indices));
    }
    return tableOf(blocks);
  }

  join(tables: readonly Table[]): Table {
    const joined = tableOf(tables.flatMap((table) => table.blocks));
    return withSparse(
      joined,
      tables.some((table) => table.sparse),
    );
  }

  table(value: string, width: number): Table {
    return numbersTable(value, width);
  }

  /** The labels of the classes with these indices (INT32 `[rows]`). */
  predictLabels({ dtype, values }: Labels, index: string): Answer {
    const answer = (value: string): Answer => ({ value, dtype, shape: [-1] });
    switch (dtype) {
      case 'BYTES':
        return answer(
          this.kernel('text-labels', [index], { attributes: { labels: values.map(String) } }),
        );
      case 'INT64': {
        const data = BigInt64Array.from(values, BigInt);
        return answer(this.numberLabels(index, this.weights.add('INT64', data)));
      }
      case 'BOOL':
        return answer(
          this.numberLabels(index, this.weights.add('BOOL', Uint8Array.from(values, Number))),
        );
      case 'FP64':
        return answer(this.numberLabels(index, this.fp64(values.map(Number))));
    }
  }

  /** The classes with the highest score of each row. */
  largest(scores: string): string {
    return this.kernel('largest-column', [scores]);
  }

  /** 1 where a score is above `than`, or equal to it with `orEqual`; else 0. INT32 `[rows]`. */
  above(scores: string, than = 0, orEqual = false): string {
    return this.kernel('above', [scores], { attributes: { than, orEqual } });
  }

  /** Decides what no estimator did, and adds what makes the request's columns the matrices that were asked for. */
  finish(otherwise: ColumnType): readonly ColumnType[] {
    for (let i = 0; i < this.types.length; i++) this.types[i] ??= otherwise;
    const allNumbers = this.types.every((type) => type === 'numbers');
    for (const [key, value] of this.requests) {
      const columns = key.split(',').map(Number);
      const whole = columns.length === this.columnNames.length && columns.every((c, i) => c === i);
      if (!allNumbers) {
        const inputs = columns.map((c) => `${COLUMN_PREFIX}${this.columnNames[c] ?? ''}`);
        this.builder.ahead('join-columns', inputs, value);
      } else if (whole) this.builder.ahead('identity', ['X'], value);
      else
        this.builder.ahead('take-columns', ['X'], value, {
          weights: { columns: this.int32(columns) },
        });
    }
    return this.types;
  }

  private numberLabels(index: string, labels: WeightRef): string {
    return this.kernel('number-labels', [index], { weights: { labels } });
  }

  private numbersOf(block: Block, owner: Fitted): string {
    switch (block.kind) {
      case 'numbers':
        return block.value;
      case 'texts':
        return owner.unsupported('is given a column of texts where it needs numbers');
      case 'request': {
        for (const column of block.columns) this.decide(column, 'numbers', owner);
        const key = block.columns.join(',');
        const value = this.requests.get(key) ?? this.builder.newValue();
        this.requests.set(key, value);
        return value;
      }
    }
  }

  private decide(column: number, type: ColumnType, owner: Fitted): void {
    const before = this.types[column];
    if (before !== undefined && before !== type) {
      owner.unsupported(
        `reads the column "${this.columnNames[column] ?? column}" as ${type ?? ''}, another part of the model as ${before}`,
      );
    }
    this.types[column] = type;
  }

  private selectIn(block: Block, indices: number[]): Block {
    if (block.kind === 'texts') return block;
    const all = indices.length === block.width && indices.every((index, i) => index === i);
    if (all) return block;
    const width = indices.length;
    if (block.kind === 'request') {
      return { kind: 'request', columns: indices.map((i) => block.columns[i] ?? -1), width };
    }
    const value = this.kernel('take-columns', [block.value], {
      weights: { columns: this.int32(indices) },
    });
    return { kind: 'numbers', value, width };
  }
}
