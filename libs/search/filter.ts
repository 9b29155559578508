import { DomainError } from '#platform';
import {
  type FieldTable,
  type FieldReference,
  type FieldSpec,
  resolveField,
  specOf,
} from './field.js';
import { literal } from './literal.js';
import { Scanner } from './scanner.js';

export type Comparator =
  | '='
  | '!='
  | '>'
  | '>='
  | '<'
  | '<='
  | 'LIKE'
  | 'ILIKE'
  | 'IN'
  | 'NOT IN'
  | 'IS NULL'
  | 'IS NOT NULL';

/** `field comparator operand`, checked: the operand is what PostgreSQL reads as the kind of the field. */
export interface Condition extends FieldReference {
  comparator: Comparator;
  /** A list for IN and NOT IN, absent for IS NULL and IS NOT NULL. */
  operand?: string | string[];
}

const MAX_LENGTH = 10_000;
const MAX_CONDITIONS = 100;

/**
 * Reads MLflow's filter grammar: conditions joined by AND (mlflow/utils/search_utils.py; neither OR nor parentheses there
 * either). Keys may stand in backticks or double quotes, strings in single or double quotes, a quote inside written twice.
 * More than MLflow takes: IN and IS NULL on all fields, `<>`, RFC 3339 times.
 *
 * @throws DomainError INVALID_ARGUMENT that says where, what was expected, and which fields there are.
 */
export function parseFilter(text: string | undefined, fields: FieldTable): Condition[] {
  if (text === undefined) return [];
  if (text.length > MAX_LENGTH) {
    throw DomainError.invalid(
      '/filter',
      `The filter has ${text.length} characters; at most ${MAX_LENGTH} are taken.`,
    );
  }
  const scanner = new Scanner(text, 'filter');
  const conditions: Condition[] = [];
  if (scanner.done) return conditions;
  do {
    if (conditions.length === MAX_CONDITIONS) {
      throw scanner.fault(`it has more than ${MAX_CONDITIONS} conditions`);
    }
    conditions.push(readCondition(scanner, fields));
  } while (scanner.takeWord('AND'));
  if (!scanner.done) {
    const at = scanner.position;
    throw scanner.fault(`expected AND or the end, ${scanner.found()}${advice(scanner)}`, at);
  }
  return conditions;
}

function readCondition(scanner: Scanner, fields: FieldTable): Condition {
  const start = scanner.position;
  const path = scanner.takePath();
  if (path === undefined) {
    throw scanner.fault(`expected a field, ${scanner.found()}${advice(scanner)}`, start);
  }
  const reference = resolveField(path, fields);
  if (typeof reference === 'string') throw scanner.fault(reference, start);
  const spec = specOf(fields, reference);
  const at = scanner.position;
  const word = scanner.found();
  const comparator = readComparator(scanner);
  const allowed = comparatorsOf(spec);
  if (comparator === undefined || !allowed.includes(comparator)) {
    const name = path.join('.').slice(0, 60);
    const found = comparator === undefined ? word : `found ${comparator}`;
    throw scanner.fault(`expected one of ${allowed.join(', ')} after ${name}, ${found}`, at);
  }
  if (comparator === 'IS NULL' || comparator === 'IS NOT NULL') return { ...reference, comparator };
  const operand =
    comparator === 'IN' || comparator === 'NOT IN'
      ? readList(scanner, spec)
      : readOperand(scanner, spec);
  return { ...reference, comparator, operand };
}

function readComparator(scanner: Scanner): Comparator | undefined {
  const symbol = scanner.takeMatch(/>=|<=|!=|<>|==|=|>|</y);
  if (symbol === '<>') return '!=';
  if (symbol === '==') return '=';
  if (symbol !== undefined) return symbol as Comparator;
  if (scanner.takeWord('LIKE')) return 'LIKE';
  if (scanner.takeWord('ILIKE')) return 'ILIKE';
  if (scanner.takeWord('IN')) return 'IN';
  if (scanner.takeWord('NOT')) return scanner.takeWord('IN') ? 'NOT IN' : undefined;
  if (!scanner.takeWord('IS')) return undefined;
  if (scanner.takeWord('NULL')) return 'IS NULL';
  return scanner.takeWord('NOT') && scanner.takeWord('NULL') ? 'IS NOT NULL' : undefined;
}

const EQUALITY: Comparator[] = ['=', '!='];
const ORDERING: Comparator[] = ['>', '>=', '<', '<='];
const PATTERNS: Comparator[] = ['LIKE', 'ILIKE'];
const ANY_KIND: Comparator[] = ['IN', 'NOT IN', 'IS NULL', 'IS NOT NULL'];

function comparatorsOf({ kind }: FieldSpec): Comparator[] {
  switch (kind) {
    case 'string':
    case 'uuid':
    case 'tags':
    case 'params':
      return [...EQUALITY, ...PATTERNS, ...ANY_KIND];
    case 'number':
    case 'time':
    case 'metrics':
      return [...EQUALITY, ...ORDERING, ...ANY_KIND];
  }
}

function readList(scanner: Scanner, spec: FieldSpec): string[] {
  if (!scanner.take('(')) throw scanner.fault(`expected a list in parentheses, ${scanner.found()}`);
  const operands: string[] = [];
  do {
    if (operands.length > 0 && scanner.take(')')) return operands;
    operands.push(readOperand(scanner, spec));
  } while (scanner.take(','));
  if (!scanner.take(')')) throw scanner.fault(`expected a comma or ), ${scanner.found()}`);
  return operands;
}

function readOperand(scanner: Scanner, spec: FieldSpec): string {
  const at = scanner.position;
  const text = scanner.takeString();
  const number =
    text === undefined
      ? scanner.takeMatch(/[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\p{L}\p{N}_.])/iuy)
      : undefined;
  const operand = literal(spec, text, number);
  if (operand.value === undefined)
    throw scanner.fault(`expected ${operand.expected}, ${found()}`, at);
  return operand.value;

  function found(): string {
    if (number !== undefined) return `found the number ${number.slice(0, 40)}`;
    return text === undefined ? scanner.found() : 'found another string';
  }
}

/** A word for those who write what other query languages have. */
function advice(scanner: Scanner): string {
  if (scanner.take('(') || scanner.take(')')) return '; parentheses are for the lists of IN only';
  if (scanner.takeWord('OR')) return '; OR is not supported: ask once for each';
  if (scanner.takeWord('NOT')) return '; NOT stands only in NOT IN and IS NOT NULL';
  return "; strings stand in quotes, and a quote inside is written twice: 'it''s'";
}
