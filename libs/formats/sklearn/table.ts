/**
 * What flows between estimators: columns side by side, in blocks. Columns of the request may not have a type yet: that is
 * decided by the first estimator that uses them.
 */
export interface Table {
  readonly width: number;
  readonly blocks: readonly Block[];
  /** It is a sparse matrix in Python, where XGBoost takes what is zero for missing. */
  readonly sparse?: true;
}

export type Block =
  /** A value FP64 `[rows, width]`. */
  | { readonly kind: 'numbers'; readonly value: string; readonly width: number }
  /** A value BYTES `[rows]`. */
  | { readonly kind: 'texts'; readonly value: string; readonly width: 1 }
  /** Columns of the request by index. */
  | { readonly kind: 'request'; readonly columns: readonly number[]; readonly width: number };

export function tableOf(blocks: readonly Block[]): Table {
  return { blocks, width: blocks.reduce((sum, block) => sum + block.width, 0) };
}

/** A table of one matrix. */
export function numbersTable(value: string, width: number): Table {
  return tableOf([{ kind: 'numbers', value, width }]);
}

export function requestTable(columns: readonly number[]): Table {
  return tableOf([{ kind: 'request', columns, width: columns.length }]);
}

/** The block of a column and its place in it. */
export function columnOf(table: Table, column: number): { block: Block; index: number } {
  let index = column;
  for (const block of table.blocks) {
    if (index < block.width) return { block, index };
    index -= block.width;
  }
  throw new RangeError(`a table of ${table.width} columns has no column ${column}`);
}
