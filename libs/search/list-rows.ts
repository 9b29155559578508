import { createHash } from 'node:crypto';
import { DomainError } from '#platform';
import type { FieldTable } from './field.js';
import { parseFilter } from './filter.js';
import { cursorSql, type CursorValues, decodeCursor, encodeCursor, keysetSql } from './keyset.js';
import { orderSql, parseOrder, sortKeys, type TieBreaker } from './order.js';
import { Parameters } from './parameters.js';
import { whereSql } from './sql.js';

/** What a client asks of a list. */
export interface ListRequest {
  /** Rows of a page; default 50. */
  limit?: number | undefined;
  /** `next` of the page before. */
  cursor?: string | undefined;
  /** MLflow's filter grammar. */
  filter?: string | undefined;
  /** `name`, `-createdAt`, several by comma; or MLflow's `order_by`. */
  order?: string | readonly string[] | undefined;
}

/** What a list is, all of it written by us, and the request for one page of it. */
export interface List {
  /** Behind SELECT; default `*`. */
  select?: string;
  /** Behind FROM: `model_version v JOIN registered_model m ON m.id = v.model_id`. */
  from: string;
  /** Condition of our own, with placeholders $1 and on for `values`. */
  where?: string;
  values?: readonly unknown[];
  fields: FieldTable;
  /** What may be ordered by, where that is not what may be filtered by. */
  orderFields?: FieldTable;
  /** Order where the request has none, in the grammar of `parseOrder`. */
  defaultOrder: string;
  /** A unique column, or several that are unique together. */
  tie: TieBreaker | readonly TieBreaker[];
  /** Largest `limit` of a request; default 1000. */
  maxLimit?: number;
  request: ListRequest;
}

export interface Page<Row> {
  items: Row[];
  /** Cursor of the next page; absent on the last one. */
  next?: string;
}

/** The statement of one page, and what makes the page of its rows. */
export interface ListQuery {
  text: string;
  values: unknown[];
  /** The rows have a column `page_cursor`, and are one more where there is a next page. */
  page<Row extends object>(rows: readonly Row[]): Page<Row>;
}

/** TypeORM's DataSource or EntityManager. */
export interface RowSource {
  query<Rows>(text: string, values: unknown[]): Promise<Rows>;
}

/**
 * One page of a list. Pages are cut by the values of their last row, so that rows which come and go meanwhile make no other
 * row appear twice or be left out, and a late page costs no more than the first.
 *
 * @throws DomainError INVALID_ARGUMENT for a filter, order, cursor or limit that is wrong.
 */
export async function listRows<Row extends object>(
  source: RowSource,
  list: List,
): Promise<Page<Row>> {
  const query = listQuery(list);
  return query.page(await source.query<Row[]>(query.text, query.values));
}

/** The same for who runs the statement otherwise. */
export function listQuery(list: List): ListQuery {
  const { from, select = '*', where = 'TRUE', fields, orderFields = fields, request } = list;
  const limit = checkLimit(request.limit ?? 50, list.maxLimit ?? 1000);
  const conditions = parseFilter(request.filter, fields);
  const asked = parseOrder(request.order, orderFields);
  const terms = asked.length > 0 ? asked : parseOrder(list.defaultOrder, orderFields);
  const own = list.values ?? [];
  const parameters = new Parameters(own.length + 1);
  const filterSql = whereSql(conditions, fields, parameters);
  const keys = sortKeys(terms, orderFields, [list.tie].flat(), parameters);
  const scope = hash([from, where, own.map(String), conditions, terms]);
  const behindSql = request.cursor
    ? keysetSql(keys, decodeCursor(request.cursor, scope, keys), parameters)
    : 'TRUE';
  const text = `SELECT ${select}, ${cursorSql(keys)} AS page_cursor
    FROM ${from}
    WHERE (${where}) AND ${filterSql} AND ${behindSql}
    ORDER BY ${orderSql(keys)}
    LIMIT ${limit + 1}`;
  const values = [...own, ...parameters.values];
  return { text, values, page: (rows) => pageOf(rows, limit, scope) };
}

function pageOf<Row extends object>(rows: readonly Row[], limit: number, scope: string): Page<Row> {
  const items = rows.slice(0, limit).map((row) => {
    const item = { ...row };
    Reflect.deleteProperty(item, 'page_cursor');
    return item;
  });
  const last: { page_cursor?: CursorValues } | undefined = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { items };
  if (last.page_cursor === undefined) throw new Error('the rows have no column page_cursor');
  return { items, next: encodeCursor(scope, last.page_cursor) };
}

function checkLimit(limit: number, max: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return limit;
  throw DomainError.invalid(
    '/limit',
    `The limit is ${limit}; expected an integer from 1 to ${max}.`,
  );
}

/** What a cursor is good for. */
function hash(scope: unknown): string {
  return createHash('sha256').update(JSON.stringify(scope)).digest('base64url').slice(0, 16);
}
