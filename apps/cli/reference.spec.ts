import { describe, expect, it } from '@jest/globals';
import { UsageError } from './failure.js';
import { parseName, parseReference, parseVersionReference, referenceText } from './reference.js';

describe('references', () => {
  it.each([
    ['iris', 'iris', undefined],
    ['iris/3', 'iris', 3],
    ['iris@champion', 'iris', '@champion'],
    ['iris/@champion', 'iris', '@champion'],
    ['iris/production', 'iris', 'production'],
    ['iris/latest', 'iris', 'latest'],
    ['a@b/2', 'a@b', 2],
    ['a@b/', 'a@b', undefined],
    ['two words/1', 'two words', 1],
  ])('%s', (text, name, version) => {
    expect(parseReference(text)).toEqual({ name, version });
  });

  it.each(['', '/1', 'iris/0', 'iris/x', 'iris/1/2', '@a', 'iris@'])('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(UsageError);
  });

  it('asks for a version or a model where it needs one', () => {
    expect(() => parseVersionReference('iris')).toThrow('iris/1');
    expect(() => parseName('iris/1')).toThrow('needs a model');
  });

  it('writes them back', () => {
    for (const text of ['iris', 'iris/3', 'iris@champion']) {
      const { name, version } = parseReference(text);
      expect(referenceText(name, version)).toBe(text);
    }
  });
});
