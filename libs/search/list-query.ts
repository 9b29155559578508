import { createHash } from 'node:crypto';
import { DomainError } from '#platform';
import type { Fields } from './field.js';
import { type Condition, parseFilter } from './filter.js';
import { cursorSql, type CursorValues, decodeCursor, encodeCursor, keysetSql } from './keyset.js';
import { orderSql, parseOrder, sortKeys, type TieBreaker } from './order.js';
import { Parameters } from './parameters.js';
import { type SqlFragment, whereSql } from './sql.js';

export interface ListRequest {
  /** Behind FROM, written by us: `model_version v JOIN registered_model m ON m.id = v.model_id`. */
  table: string;
  /** Behind SELECT, written by us; default `*`. */
  select?: string;
  fields: Fields;
  /** What a client may order by, where that is not what it may filter by. */
  orderFields?: Fields;
  /** Order where the client names none, in the grammar of `parseOrder`. */
  defaultOrder: string;
  /** Columns that together are unique. */
  tie: readonly TieBreaker[];
  filter?: string | undefined;
  order?: string | readonly string[] | undefined;
  cursor?: string | undefined;
  /** Rows of a page; default 50. */
  limit?: number | undefined;
  /** Largest `limit` that a client may ask for; default 1000. */
  maxLimit?: number;
  /** Condition of our own; its placeholders are $1 and on. */
  where?: SqlFragment;
}

export interface Page<Row> {
  items: Row[];
  /** Cursor of the next page; absent on the last one. */
  next?: string;
}

export interface ListQuery {
  /** The statement: one row more than a page has, and a column `page_cursor` that `page` takes away. */
  text: string;
  values: unknown[];
  conditions: readonly Condition[];
  page<Row extends object>(rows: readonly Row[]): Page<Row>;
}

/**
 * The statement for one page of a list. Pages are cut by the values of the last row, so that rows which come and go meanwhile
 * make no other row appear twice or be left out, and a late page costs no more than the first.
 *
 * @throws DomainError INVALID_ARGUMENT for a filter, order, cursor or limit that is wrong.
 */
export function listQuery(request: ListRequest): ListQuery {
  const { fields, orderFields = fields, where = { sql: 'TRUE', values: [] } } = request;
  const limit = checkLimit(request.limit ?? 50, request.maxLimit ?? 1000);
  const conditions = parseFilter(request.filter, fields);
  const asked = parseOrder(request.order, orderFields);
  const terms = asked.length > 0 ? asked : parseOrder(request.defaultOrder, orderFields);
  const parameters = new Parameters(where.values.length + 1);
  const filterSql = whereSql(conditions, fields, parameters);
  const keys = sortKeys(terms, orderFields, request.tie, parameters);
  const scope = hash([request.table, where.sql, where.values.map(String), conditions, terms]);
  const behind =
    request.cursor === undefined || request.cursor === ''
      ? 'TRUE'
      : keysetSql(keys, decodeCursor(request.cursor, scope, keys), parameters);
  const text = `SELECT ${request.select ?? '*'}, ${cursorSql(keys)} AS page_cursor
    FROM ${request.table}
    WHERE (${where.sql}) AND ${filterSql} AND ${behind}
    ORDER BY ${orderSql(keys)}
    LIMIT ${limit + 1}`;
  return {
    text,
    values: [...where.values, ...parameters.values],
    conditions,
    page: (rows) => pageOf(rows, limit, scope),
  };
}

function pageOf<Row extends object>(rows: readonly Row[], limit: number, scope: string): Page<Row> {
  const items = rows.slice(0, limit).map((row) => {
    const item = { ...row };
    Reflect.deleteProperty(item, 'page_cursor');
    return item;
  });
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { items };
  const { page_cursor: values } = last as { page_cursor?: CursorValues };
  if (values === undefined) throw new Error('the rows have no column page_cursor');
  return { items, next: encodeCursor(scope, values) };
}

function checkLimit(limit: number, max: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return limit;
  throw DomainError.invalid(
    '/limit',
    `The limit is ${limit}; expected an integer from 1 to ${max}.`,
  );
}

function hash(scope: unknown): string {
  return createHash('sha256').update(JSON.stringify(scope)).digest('base64url').slice(0, 16);
}
