import { DomainError } from '#platform';
import {
  type ColumnKind,
  type FieldReference,
  type FieldTable,
  resolveField,
  specOf,
} from './field.js';
import type { Parameters } from './parameters.js';
import { Scanner } from './scanner.js';
import { metricSql } from './sql.js';

export interface OrderTerm extends FieldReference {
  descending: boolean;
}

/** A column that ends every order, so that no two rows are equal in it; NULL in no row. */
export interface TieBreaker {
  kind: ColumnKind;
  sql: string;
  descending?: boolean;
}

/** One expression of an ORDER BY. */
export interface SortKey {
  sql: string;
  kind: ColumnKind;
  descending: boolean;
  /** Rows with NULL come last, in both directions. */
  nullable: boolean;
}

const MAX_LENGTH = 2_000;
const MAX_TERMS = 5;

/**
 * Reads an order: `name`, `-createdAt`, `metrics.accuracy`, several with commas; or MLflow's `order_by`, a list of
 * `name ASC`, `timestamp DESC`. Both ways of writing may be mixed.
 *
 * @throws DomainError INVALID_ARGUMENT that says where, what was expected, and which fields there are.
 */
export function parseOrder(
  text: string | readonly string[] | undefined,
  fields: FieldTable,
): OrderTerm[] {
  const terms: OrderTerm[] = [];
  for (const part of typeof text === 'string' ? [text] : (text ?? [])) {
    if (part.length > MAX_LENGTH) {
      throw DomainError.invalid('/order', `The order has more than ${MAX_LENGTH} characters.`);
    }
    const scanner = new Scanner(part, 'order');
    if (scanner.done) continue;
    do {
      terms.push(readTerm(scanner, fields, terms));
    } while (scanner.take(','));
    if (!scanner.done) {
      throw scanner.fault(`expected ASC, DESC, a comma or the end, ${scanner.found()}`);
    }
  }
  return terms;
}

/** The expressions to sort by: those of the terms, then the tie-breakers that are not among them. */
export function sortKeys(
  terms: readonly OrderTerm[],
  fields: FieldTable,
  tie: readonly TieBreaker[],
  parameters: Parameters,
): SortKey[] {
  const keys = terms.flatMap((term) => keysOf(term, fields, parameters));
  for (const { kind, descending = false, ...column } of tie) {
    const sql = `(${column.sql})`;
    const own = keys.find((key) => key.sql === sql);
    if (own === undefined) keys.push({ sql, kind, descending, nullable: false });
    else own.nullable = false;
  }
  return keys;
}

/** The text behind ORDER BY. */
export function orderSql(keys: readonly SortKey[]): string {
  return keys
    .map(({ sql, descending, nullable }) => {
      // Columns without NULL go without NULLS LAST, so that an index serves both directions.
      return `${sql} ${descending ? 'DESC' : 'ASC'}${nullable ? ' NULLS LAST' : ''}`;
    })
    .join(', ');
}

function readTerm(scanner: Scanner, fields: FieldTable, before: readonly OrderTerm[]): OrderTerm {
  const start = scanner.position;
  if (before.length === MAX_TERMS) throw scanner.fault(`it has more than ${MAX_TERMS} fields`);
  const minus = scanner.take('-');
  const path = scanner.takePath();
  if (path === undefined) throw scanner.fault(`expected a field, ${scanner.found()}`);
  const reference = resolveField(path, fields);
  if (typeof reference === 'string') throw scanner.fault(reference, start);
  if (before.some((term) => term.field === reference.field && term.key === reference.key)) {
    throw scanner.fault('this field stands twice', start);
  }
  const word = scanner.takeWord('DESC');
  if (!word) scanner.takeWord('ASC');
  if (minus && word) throw scanner.fault('write either - or DESC, not both', start);
  return { ...reference, descending: minus || word };
}

/** Characters of a tag or param that count in an order, so that cursors stay short enough for a URL. */
const SORTED_LENGTH = 200;

function keysOf(term: OrderTerm, fields: FieldTable, parameters: Parameters): SortKey[] {
  const spec = specOf(fields, term);
  const { descending } = term;
  switch (spec.kind) {
    case 'tags':
    case 'params': {
      const key = parameters.add(term.key ?? '', 'text');
      const sql = `left((${spec.sql}) ->> ${key}, ${SORTED_LENGTH})`;
      return [{ sql, kind: 'string', descending, nullable: true }];
    }
    case 'metrics': {
      // As in MLflow, NaN comes behind the numbers and rows without the metric behind NaN, in both directions.
      const value = metricSql(spec.sql, parameters.add(term.key ?? '', 'text'));
      const rank = `(CASE WHEN ${value} IS NULL THEN 2 WHEN ${value} = 'NaN' THEN 1 ELSE 0 END)`;
      return [
        { sql: rank, kind: 'number', descending: false, nullable: false },
        { sql: value, kind: 'number', descending, nullable: true },
      ];
    }
    default:
      return [{ sql: `(${spec.sql})`, kind: spec.kind, descending, nullable: !spec.notNull }];
  }
}
