import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseProgram } from './parse-program.js';
import { ProgramError } from './program-error.js';
import type { Program } from './program.js';

const program: Program = {
  schemaVersion: 1,
  importer: 'test@1',
  format: 'test',
  signature: {
    inputs: [
      { name: 'a', dtype: 'FP64', shape: [-1] },
      { name: 'b', dtype: 'BYTES', shape: [-1], optional: true },
    ],
    outputs: [{ name: 'y', dtype: 'FP64', shape: [-1] }],
    defaultOutputs: ['y'],
  },
  binding: { kind: 'table', ignored: ['b'] },
  rowwise: true,
  nodes: [
    {
      kind: 'kernel',
      kernel: 'scale-columns',
      inputs: ['column/a'],
      outputs: ['y'],
      weights: { add: { dtype: 'FP64', shape: [1], offset: 0 } },
    },
  ],
  weights: { size: 8 },
  files: [],
};

const changed = (members: object) => ({ ...program, ...members });
const weight = (members: object) => {
  const [node] = program.nodes;
  return changed({
    nodes: [{ ...node, weights: { add: { dtype: 'FP64', shape: [1], offset: 0, ...members } } }],
  });
};

describe('a program', () => {
  it('is answered with the members that are known', () => {
    expect(parseProgram({ ...program, comment: 'of a newer writer' })).toEqual(program);
  });

  it.each([
    ['another version of the schema', changed({ schemaVersion: 2 }), /this reader knows version 1/],
    ['no version', changed({ schemaVersion: undefined }), /schemaVersion: must be an integer/],
    ['an optional column that is read', changed({ binding: { kind: 'table' } }), /must be ignored/],
    [
      'a column that is not there',
      changed({ binding: { kind: 'table', ignored: ['b', 'c'] } }),
      /names of inputs/,
    ],
    [
      'a matrix of columns that may be left out',
      changed({
        binding: { kind: 'table', ignored: ['b'], matrix: { dtype: 'FP64', columns: 2 } },
      }),
      /the columns of the signature/,
    ],
    ['a file elsewhere', changed({ files: [{ path: 'a/../../b', size: 1 }] }), /a file below/],
    ['weights outside', weight({ offset: 8 }), /lies outside the 8 bytes/],
    ['weights that are not aligned', weight({ offset: 4 }), /aligned to 8/],
    [
      'weights beyond measure',
      weight({ shape: [...Array<number>(30).fill(2 ** 40), 0] }),
      /lies outside/,
    ],
    ['weights of texts', weight({ dtype: 'BYTES' }), /must be one of/],
  ])('is refused: %s', (_, document, message) => {
    expect(() => parseProgram(document)).toThrow(message);
  });

  it('of any form is parsed or refused, with the place', () => {
    const place = fc.constantFrom(...placesOf(program));
    fc.assert(
      fc.property(place, fc.anything(), (path, value) => {
        const document: unknown = structuredClone(program);
        setAt(document, path, value);
        try {
          parseProgram(document);
        } catch (error) {
          expect(error).toBeInstanceOf(ProgramError);
          expect((error as ProgramError).pointer).toMatch(/^(\/|$)/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** The paths of everything in a document. */
function placesOf(value: unknown, path: string[] = []): string[][] {
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const below = members.flatMap(([name, member]) => placesOf(member, [...path, name]));
  return path.length > 0 ? [path, ...below] : below;
}

function setAt(document: unknown, path: string[], value: unknown): void {
  const [first = '', ...rest] = path;
  if (rest.length === 0) Reflect.set(document as object, first, value);
  else setAt(Reflect.get(document as object, first), rest, value);
}
