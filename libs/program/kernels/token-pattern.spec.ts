import { describe, expect, it } from '@jest/globals';
import { tokenPattern } from './token-pattern.js';

const TEXT = "It's 42 für_x, red-green  Ñandú! a1 (x)";

function words(pattern: string): string[] {
  const found = tokenPattern(pattern);
  if (!found) throw new Error(`${pattern} is not taken`);
  return TEXT.match(found) ?? [];
}

describe('patterns of words', () => {
  it.each([
    // What re.findall of Python 3.11 answers.
    ['(?u)\\b\\w\\w+\\b', ['It', '42', 'für_x', 'red', 'green', 'Ñandú', 'a1']],
    ['(?u)\\b[a-zA-Z]+\\b', ['It', 's', 'red', 'green', 'x']],
    ['[a-zA-Z]{3,}', ['red', 'green', 'and']],
    [
      '\\w+|[^\\w\\s]',
      ['It', "'", 's', '42', 'für_x', ',', 'red', '-', 'green', 'Ñandú', '!', 'a1', '(', 'x', ')'],
    ],
    ['[^\\W\\d_]+', ['It', 's', 'für', 'x', 'red', 'green', 'Ñandú', 'a', 'x']],
    ['\\S+', ["It's", '42', 'für_x,', 'red-green', 'Ñandú!', 'a1', '(x)']],
    ['\\b\\w\\w+\\b|!|\\?', ['It', '42', 'für_x', 'red', 'green', 'Ñandú', '!', 'a1']],
    ["[\\w'-]+", ["It's", '42', 'für_x', 'red-green', 'Ñandú', 'a1', 'x']],
    ['\\d{1,3}', ['42', '1']],
  ])('%s', (pattern, expected) => {
    expect(words(pattern)).toEqual(expected);
  });

  it.each([
    '(\\w+)+x',
    '(?:a|b)',
    '\\w*',
    '\\w+\\w+!',
    '\\w+!',
    '(?=a)b',
    '\\1',
    '[a-zA-Z]+\\b',
    'a{5000}',
    '[z-a]',
    '[',
    '\\',
    '',
    '|',
    '\\w+?',
    '[[:alpha:]]',
    '\\Aab',
    '(?i)ab+',
    '\\w{0,1000}\\w{0,1000}!',
  ])('refuses %s', (pattern) => {
    expect(tokenPattern(pattern)).toBeUndefined();
  });

  it('takes time in proportion to the text', () => {
    const pattern = tokenPattern('\\b[a-z]+\\b');
    const long = `${'a'.repeat(1_000_000)}_`;
    expect(pattern && long.match(pattern)).toBeNull();
  });
});
