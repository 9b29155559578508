import { type FieldTable, isMap, specOf } from './field.js';
import type { Comparator, Condition } from './filter.js';
import { numberCast } from './literal.js';
import { Parameters } from './parameters.js';

/**
 * The conditions as SQL, true for all rows where there are none. Everything that came from outside is a parameter.
 *
 * Rows without a tag, param or metric match only IS NULL, unless the field's `absent` says a value. NaN is unequal to every
 * number and neither above nor below one. In LIKE and ILIKE `%` and `_` are wildcards and a backslash before one of them, or
 * before a backslash, makes it a plain character.
 *
 * @param first number of the first placeholder.
 */
export function toSql(
  conditions: readonly Condition[],
  fields: FieldTable,
  first = 1,
): { where: string; values: unknown[] } {
  const parameters = new Parameters(first);
  const where = whereSql(conditions, fields, parameters);
  return { where, values: parameters.values };
}

export function whereSql(
  conditions: readonly Condition[],
  fields: FieldTable,
  parameters: Parameters,
): string {
  if (conditions.length === 0) return 'TRUE';
  return conditions.map((condition) => conditionSql(condition, fields, parameters)).join(' AND ');
}

/** Value of a metric as numeric: exact, and it has NaN and, from PostgreSQL 14 on, the infinities. */
export function metricSql(map: string, key: string): string {
  const value = `(${map}) ->> ${key}`;
  return `(CASE WHEN jsonb_typeof((${map}) -> ${key}) = 'number' OR ${value} IN ('NaN', 'Infinity', '-Infinity') THEN (${value})::numeric END)`;
}

function conditionSql(condition: Condition, fields: FieldTable, parameters: Parameters): string {
  const spec = specOf(fields, condition);
  const { comparator, operand } = condition;
  const key = condition.key === undefined ? '' : parameters.add(condition.key, 'text');
  const text = isMap(spec) ? `((${spec.sql}) ->> ${key})` : `(${spec.sql})`;
  if (operand === undefined) return `${text} ${comparator}`;
  switch (spec.kind) {
    case 'string':
      return stringSql(text, comparator, operand, parameters);
    case 'uuid':
      return stringSql(`${text}::text`, comparator, operand, parameters);
    case 'tags':
    case 'params': {
      const absent =
        spec.absent && condition.key !== undefined && Object.hasOwn(spec.absent, condition.key)
          ? spec.absent[condition.key]
          : undefined;
      const value =
        absent === undefined ? text : `COALESCE(${text}, ${parameters.add(absent, 'text')})`;
      return stringSql(value, comparator, operand, parameters);
    }
    case 'metrics':
      return metricConditionSql(metricSql(spec.sql, key), comparator, operand, parameters);
    case 'number':
      return compareSql(text, comparator, operand, parameters, numberCast);
    case 'time':
      return compareSql(text, comparator, operand, parameters, () => 'timestamptz');
  }
}

function stringSql(
  value: string,
  comparator: Comparator,
  operand: string | string[],
  parameters: Parameters,
): string {
  if (typeof operand === 'string' && (comparator === 'LIKE' || comparator === 'ILIKE')) {
    return `${value} ${comparator} ${parameters.add(likePattern(operand), 'text')}`;
  }
  return compareSql(value, comparator, operand, parameters, () => 'text');
}

function compareSql(
  value: string,
  comparator: Comparator,
  operand: string | string[],
  parameters: Parameters,
  castOf: (operand: string) => string,
): string {
  if (typeof operand === 'string') {
    const symbol = comparator === '!=' ? '<>' : comparator;
    return `${value} ${symbol} ${parameters.add(operand, castOf(operand))}`;
  }
  // One cast for the list: the widest that an element asks for.
  const casts = new Set(operand.map(castOf));
  const cast = casts.has('numeric') ? 'numeric' : [...casts].join();
  const list = parameters.add(operand, `${cast}[]`);
  return comparator === 'IN' ? `${value} = ANY(${list})` : `${value} <> ALL(${list})`;
}

/** PostgreSQL has NaN equal to itself and above all else; here it is no number, so that only `!=` and NOT IN hold for it. */
function metricConditionSql(
  value: string,
  comparator: Comparator,
  operand: string | string[],
  parameters: Parameters,
): string {
  const holdsForNaN = comparator === '!=' || comparator === 'NOT IN';
  const number = holdsForNaN ? value : `NULLIF(${value}, 'NaN'::numeric)`;
  return compareSql(number, comparator, operand, parameters, () => 'numeric');
}

/** Doubles the backslashes that escape nothing; one at the end would be an error of PostgreSQL. */
function likePattern(pattern: string): string {
  return pattern.replace(/\\([%_\\])|\\/g, (found, escaped: string | undefined) =>
    escaped === undefined ? '\\\\' : found,
  );
}
