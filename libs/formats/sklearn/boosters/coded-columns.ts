import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';

/**
 * Columns of texts, which have `levels`, as the numbers of these; others as they are. `unseen` says what becomes of a text that
 * is no level.
 */
export function codedColumns(
  graph: SklearnGraph,
  input: Table,
  fitted: Fitted,
  levels: (column: number) => string[] | undefined,
  unseen: 'missing' | 'refuse',
): Table {
  return graph.join(
    Array.from({ length: input.width }, (_, column) => {
      const known = levels(column);
      if (!known) return graph.select(input, [column]);
      const name = graph.nameOf(input, column);
      const attributes = { levels: known, unseen, column: name, dtype: 'FP64' };
      const texts = graph.texts(input, column, fitted);
      return graph.table(graph.kernel('text-codes', [texts], { attributes }), 1);
    }),
  );
}
