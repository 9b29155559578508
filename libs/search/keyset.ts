import { DomainError } from '#platform';
import type { ColumnKind } from './field.js';
import { numberCast } from './literal.js';
import type { SortKey } from './order.js';
import type { Parameters } from './parameters.js';

/** The values of a row's sort keys as text, exact; null is NULL. */
export type CursorValues = (string | null)[];

/** SQL for `CursorValues` of a row: an array of text. */
export function cursorSql(keys: readonly SortKey[]): string {
  return `ARRAY[${keys.map(textSql).join(', ')}]::text[]`;
}

/**
 * An opaque word for "behind this row".
 *
 * @param scope hash of the list, its filter and its order: what a cursor is good for.
 */
export function encodeCursor(scope: string, values: CursorValues): string {
  return Buffer.from(JSON.stringify([scope, ...values])).toString('base64url');
}

/**
 * The values out of a cursor. It came from outside: each is checked to be what PostgreSQL reads as the kind of its key.
 *
 * @throws DomainError INVALID_ARGUMENT where it is damaged or belongs to another list, filter or order.
 */
export function decodeCursor(
  cursor: string,
  scope: string,
  keys: readonly SortKey[],
): CursorValues {
  const damaged = () =>
    DomainError.invalid(
      '/cursor',
      'The cursor is damaged. Take `next` of the page before as it is, or leave it out for the first page.',
    );
  if (cursor.length > MAX_LENGTH || !/^[\w-]+$/.test(cursor)) throw damaged();
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw damaged();
  }
  if (!Array.isArray(content)) throw damaged();
  const [cursorScope, ...values] = content as unknown[];
  if (typeof cursorScope !== 'string') throw damaged();
  if (cursorScope !== scope) {
    throw DomainError.invalid(
      '/cursor',
      'The cursor belongs to another list, filter or order. Ask for each page with the same filter and order, or leave the cursor out for the first page.',
    );
  }
  if (values.length !== keys.length) throw damaged();
  return values.map((value, i) => {
    const key = keys[i];
    if (key === undefined) throw damaged();
    if (value === null && key.nullable) return null;
    if (typeof value !== 'string' || !READABLE[key.kind](value)) throw damaged();
    return value;
  });
}

/**
 * True for the rows behind the one with these values. Directions may be mixed; NULL comes last in each, as in `orderSql`.
 */
export function keysetSql(
  keys: readonly SortKey[],
  values: CursorValues,
  parameters: Parameters,
): string {
  const bound = keys.map((key, i) => {
    const value = values[i] ?? null;
    return {
      ...key,
      value: value === null ? null : parameters.add(value, castOf(key.kind, value)),
    };
  });
  const [first] = bound;
  const alike = bound.every(
    (key) => key.value !== null && !key.nullable && key.descending === first?.descending,
  );
  if (first !== undefined && alike) {
    const row = bound.map(({ sql }) => sql).join(', ');
    const last = bound.map(({ value }) => value).join(', ');
    // The form that a B-tree index on the keys serves in one descent.
    return `(${row}) ${first.descending ? '<' : '>'} (${last})`;
  }
  // Behind by the last key, equal in those before it; then the same one key further to the left.
  return bound.reduceRight((behindRest, key) => {
    const behind = behindSql(key);
    const equal = key.value === null ? `${key.sql} IS NULL` : `${key.sql} = ${key.value}`;
    if (behindRest === 'FALSE') return behind;
    const tied = `(${equal} AND ${behindRest})`;
    return behind === 'FALSE' ? tied : `(${behind} OR ${tied})`;
  }, 'FALSE');
}

function behindSql({
  sql,
  value,
  descending,
  nullable,
}: SortKey & { value: string | null }): string {
  if (value === null) return 'FALSE';
  const behind = `${sql} ${descending ? '<' : '>'} ${value}`;
  return nullable ? `(${behind} OR ${sql} IS NULL)` : behind;
}

/** Node takes 16 KiB of request line and headers together. */
const MAX_LENGTH = 15_000;

function castOf(kind: ColumnKind, value: string): string {
  switch (kind) {
    case 'string':
      return 'text';
    case 'number':
      return numberCast(value);
    case 'time':
      return 'timestamptz';
    case 'uuid':
      return 'uuid';
  }
}

function textSql({ sql, kind }: SortKey): string {
  if (kind !== 'time') return `${sql}::text`;
  // Independent of the session's time zone and date style, to the microsecond.
  return `to_char(${sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

const READABLE: Record<ColumnKind, (value: string) => boolean> = {
  string: (value) => !value.includes('\0'),
  number: (value) =>
    value.length < 500 && /^(?:NaN|-?Infinity|-?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?)$/.test(value),
  time: isTime,
  uuid: (value) => /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/.test(value),
};

function isTime(value: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(value) || value.startsWith('0000')) {
    return false;
  }
  const date = new Date(value);
  // The 31st of February and its like become another day.
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value.slice(0, 19));
}
