import type { FieldSpec } from './field.js';

/** The operand of a condition as PostgreSQL reads it, or what would have been one. */
export interface Literal {
  value?: string;
  expected: string;
}

/** Checks what stands in a filter, a quoted string or a number, against the kind of its field. */
export function literal(
  { kind }: FieldSpec,
  text: string | undefined,
  number: string | undefined,
): Literal {
  switch (kind) {
    case 'string':
    case 'tags':
    case 'params':
      return make('a string in quotes', text);
    case 'uuid':
      return make('an id in quotes', text?.toLowerCase());
    case 'number':
    case 'metrics':
      return make('a number without quotes', number && numberText(number));
    case 'time':
      return make(
        "a time: milliseconds since 1970 without quotes, or RFC 3339 in quotes, such as '2026-01-31T12:00:00Z'",
        text === undefined ? number && instantOf(Number(number)) : timeOf(text),
      );
  }
}

function make(expected: string, value: string | undefined): Literal {
  return value === undefined ? { expected } : { expected, value };
}

/** A cast under which PostgreSQL compares a number exactly; bigint where it can be, because indexes serve that. */
export function numberCast(value: string): 'bigint' | 'numeric' {
  return /^-?\d{1,18}$/.test(value) ? 'bigint' : 'numeric';
}

/** Integers keep their digits; other numbers become what a float64 holds, as do the values that they are compared with. */
function numberText(number: string): string {
  if (/^[+-]?\d{1,40}$/.test(number)) return number.replace('+', '');
  return String(Number(number));
}

const FIRST_TIME = Date.parse('0001-01-01T00:00:00Z');
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');

/** Times that no row can have become the infinities, so that comparisons with them are still right. */
function instantOf(milliseconds: number): string | undefined {
  if (milliseconds < FIRST_TIME) return '-infinity';
  if (milliseconds > LAST_TIME) return 'infinity';
  if (!Number.isInteger(milliseconds)) return undefined;
  return new Date(milliseconds).toISOString();
}

/** RFC 3339; also a date alone, and without an offset, which is UTC then. */
function timeOf(text: string): string | undefined {
  const parts =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/i.exec(
      text,
    );
  if (parts === null) return undefined;
  const [, date = '', time = '00:00', offset = 'Z'] = parts;
  const milliseconds = Date.parse(`${date}T${time}${offset.toUpperCase()}`);
  return Number.isNaN(milliseconds) ? undefined : instantOf(milliseconds);
}
