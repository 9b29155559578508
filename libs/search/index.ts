export type {
  ColumnKind,
  ColumnSpec,
  FieldReference,
  Fields,
  FieldSpec,
  MapKind,
  MapSpec,
} from './field.js';
export { type Comparator, type Condition, parseFilter } from './filter.js';
export { cursorSql, type CursorValues, decodeCursor, encodeCursor, keysetSql } from './keyset.js';
export { listQuery, type ListQuery, type ListRequest, type Page } from './list-query.js';
export {
  orderSql,
  type OrderTerm,
  parseOrder,
  type SortKey,
  sortKeys,
  type TieBreaker,
} from './order.js';
export { Parameters } from './parameters.js';
export { type SqlFragment, toSql } from './sql.js';
