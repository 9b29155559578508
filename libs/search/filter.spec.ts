import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '#platform';
import { type FieldTable, parseFilter, parseOrder, toSql } from './index.js';

const fields: FieldTable = {
  name: { kind: 'string', sql: 'm.name', notNull: true },
  version: { kind: 'number', sql: 'v.version' },
  size: { kind: 'number', sql: 'v.size' },
  createdAt: { kind: 'time', sql: 'v.created_at' },
  'Run Name': { kind: 'string', sql: 'v.run' },
  id: { kind: 'uuid', sql: 'v.id' },
  tags: { kind: 'tags', sql: 'v.tags', absent: { 'mlflow.prompt.is_prompt': 'false' } },
  metrics: { kind: 'metrics', sql: 'v.metrics' },
  params: { kind: 'params', sql: 'v.params' },
};

function refusal(act: () => unknown): DomainError {
  try {
    act();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('not refused');
}

describe('parseFilter', () => {
  it.each([
    ["name = 'a'", { field: 'name', comparator: '=', operand: 'a' }],
    ['name="a"', { field: 'name', comparator: '=', operand: 'a' }],
    ["attributes.name != 'it''s'", { field: 'name', comparator: '!=', operand: "it's" }],
    [`attr."Run Name" <> "a""b'"`, { field: 'Run Name', comparator: '!=', operand: `a"b'` }],
    ["`Run Name` LIKE 'C:\\%'", { field: 'Run Name', comparator: 'LIKE', operand: 'C:\\%' }],
    ["tags.a.b-c/d = ''", { field: 'tags', key: 'a.b-c/d', comparator: '=', operand: '' }],
    [
      "tag.`mlflow.prompt.is_prompt` != 'true'",
      { field: 'tags', key: 'mlflow.prompt.is_prompt', comparator: '!=', operand: 'true' },
    ],
    [
      'params."x `y" ilike \'%\'',
      { field: 'params', key: 'x `y', comparator: 'ILIKE', operand: '%' },
    ],
    ["parameter.`a``b` = '1'", { field: 'params', key: 'a`b', comparator: '=', operand: '1' }],
    ['metrics.acc>=0.5', { field: 'metrics', key: 'acc', comparator: '>=', operand: '0.5' }],
    ['metric.2x < -1e-5', { field: 'metrics', key: '2x', comparator: '<', operand: '-0.00001' }],
    ['version = +3', { field: 'version', comparator: '=', operand: '3' }],
    ['version > 1e400', { field: 'version', comparator: '>', operand: 'Infinity' }],
    [
      'version in (1, 12345678901234567890,)',
      { field: 'version', comparator: 'IN', operand: ['1', '12345678901234567890'] },
    ],
    ["name NOT  IN ('a')", { field: 'name', comparator: 'NOT IN', operand: ['a'] }],
    ['params.x IS NULL', { field: 'params', key: 'x', comparator: 'IS NULL' }],
    ['params.x is not null', { field: 'params', key: 'x', comparator: 'IS NOT NULL' }],
    [
      'createdAt > 1700000000123',
      { field: 'createdAt', comparator: '>', operand: '2023-11-14T22:13:20.123Z' },
    ],
    [
      "createdAt < '2026-01-31T12:00:00+02:00'",
      { field: 'createdAt', comparator: '<', operand: '2026-01-31T10:00:00.000Z' },
    ],
    [
      "createdAt < '2026-01-31'",
      { field: 'createdAt', comparator: '<', operand: '2026-01-31T00:00:00.000Z' },
    ],
    ['createdAt < 1e30', { field: 'createdAt', comparator: '<', operand: 'infinity' }],
  ])('reads %s', (text, condition) => {
    expect(parseFilter(text, fields)).toEqual([condition]);
  });

  it('reads nothing as no condition', () => {
    expect(parseFilter(undefined, fields)).toEqual([]);
    expect(parseFilter(' \n', fields)).toEqual([]);
    expect(toSql([], fields)).toEqual({ where: 'TRUE', values: [] });
  });

  it('reads conditions joined by AND', () => {
    const conditions = parseFilter("name = 'AND' and\nversion > 1 AND tags.x='y'", fields);
    expect(conditions.map(({ field }) => field)).toEqual(['name', 'version', 'tags']);
  });

  it.each([
    ["nme = 'a'", 'at character 1: "nme" is not a field here. Did you mean name?'],
    ["name = 'a' AND foo.bar = 1", 'at character 16: "foo.bar" is not a field here'],
    ["constructor = 'a'", '"constructor" is not a field here'],
    ["__proto__ = 'a'", 'Known fields: name, version, size, createdAt'],
    ['tags = 1', 'tags needs a key'],
    ["tags. = 'a'", 'expected a key after the dot'],
    [
      "name ~ 'a'",
      'expected one of =, !=, LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL after name, found "~"',
    ],
    ["name > 'a'", 'found >'],
    ['version LIKE 1', 'expected one of =, !=, >, >=, <, <=, IN'],
    ['name = 5', 'at character 8: expected a string in quotes, found the number 5'],
    ["version = '5'", 'expected a number without quotes'],
    ['name = a', 'expected a string in quotes, found "a"'],
    ['version = 5x', 'expected a number'],
    ["name = 'a", "the ' that opens here is not closed"],
    ["name = 'it's'", 'expected AND or the end, found "s"'],
    ["name = 'a' OR name = 'b'", 'OR is not supported'],
    ["(name = 'a')", 'parentheses are for the lists of IN only'],
    ["NOT name = 'a'", '"NOT" is not a field here'],
    ["name = 'a' AND", 'at its end: expected a field, found nothing'],
    ['name', 'at its end: expected one of'],
    ['name IN', 'expected a list in parentheses'],
    ['name IN ()', 'expected a string in quotes'],
    ["name IN ('a' 'b')", 'expected a comma or )'],
    ['createdAt > 1.5', 'expected a time'],
    ["createdAt > 'yesterday'", 'expected a time'],
    ["name = 'a\0'", 'NUL'],
    ["name = 'a';", 'expected AND or the end, found ";"'],
  ])('refuses %j', (text, words) => {
    const error = refusal(() => parseFilter(text, fields));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toContain(words);
    expect(error.errors?.[0]?.pointer).toBe('/filter');
  });

  it('bounds length and number of conditions', () => {
    expect(refusal(() => parseFilter(' '.repeat(10_001), fields)).message).toContain('10000');
    const many = Array.from({ length: 500 }, () => 'size>0').join(' AND ');
    expect(refusal(() => parseFilter(many, fields)).message).toContain('more than 100');
  });

  it('takes any string and any key that is quoted as it says', () => {
    const text = fc.string({ unit: 'binary', maxLength: 50 }).filter((s) => !s.includes('\0'));
    const key = text.filter((s) => s !== '');
    fc.assert(
      fc.property(key, text, (tag, value) => {
        const filter = `tags.\`${tag.replaceAll('`', '``')}\` = '${value.replaceAll("'", "''")}'`;
        expect(parseFilter(filter, fields)).toEqual([
          { field: 'tags', key: tag, comparator: '=', operand: value },
        ]);
      }),
    );
  });

  it('never throws anything but INVALID_ARGUMENT, nor puts a word of the client into SQL', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'name',
        'tags.',
        'metrics.acc',
        '=',
        '!=',
        '>',
        'IN',
        '(',
        ')',
        ',',
        'AND',
        'OR',
        'IS',
      ),
      fc.constantFrom('NULL', 'NOT', "'", '"', '`', '5', '-1e5', "'a'", '.', '--', ';', '$1', '\\'),
      fc.string({ unit: 'binary', maxLength: 5 }),
    );
    const alphabet = /^[\w\s.()<>=!,'$:\->]*$/;
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), fc.constantFrom(' ', ''), (words, space) => {
        try {
          const { where } = toSql(parseFilter(words.join(space), fields), fields);
          expect(where).toMatch(alphabet);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe('parseOrder', () => {
  it.each([
    ['name', [{ field: 'name', descending: false }]],
    [
      '-createdAt, name',
      [
        { field: 'createdAt', descending: true },
        { field: 'name', descending: false },
      ],
    ],
    [
      ['name ASC', 'attributes.version desc'],
      [
        { field: 'name', descending: false },
        { field: 'version', descending: true },
      ],
    ],
    ['-metrics.`a, b`', [{ field: 'metrics', key: 'a, b', descending: true }]],
    ['', []],
    [undefined, []],
  ])('reads %j', (text, terms) => {
    expect(parseOrder(text, fields)).toEqual(terms);
  });

  it.each([
    ['nam', 'Did you mean name?'],
    ['name,', 'expected a field'],
    ['name,-name', 'stands twice'],
    ['-name DESC', 'not both'],
    ['name; drop', 'expected ASC, DESC'],
    ['tags', 'needs a key'],
    [['name', 'name'], 'stands twice'],
    ['tags.a,tags.b,tags.c,tags.d,tags.e,tags.f', 'more than 5'],
  ])('refuses %j', (text, words) => {
    const error = refusal(() => parseOrder(text, fields));
    expect(error.message).toContain(words);
    expect(error.errors?.[0]?.pointer).toBe('/order');
  });
});
