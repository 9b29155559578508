export type {
  ColumnKind,
  ColumnSpec,
  FieldReference,
  FieldTable,
  FieldSpec,
  MapKind,
  MapSpec,
} from './field.js';
export { type Comparator, type Condition, parseFilter } from './filter.js';
export { cursorSql, type CursorValues, decodeCursor, encodeCursor, keysetSql } from './keyset.js';
export {
  type List,
  listQuery,
  type ListQuery,
  type ListRequest,
  listRows,
  type Page,
  type RowSource,
} from './list-rows.js';
export {
  orderSql,
  type OrderTerm,
  parseOrder,
  type SortKey,
  sortKeys,
  type TieBreaker,
} from './order.js';
export { Parameters } from './parameters.js';
export { toSql } from './sql.js';
