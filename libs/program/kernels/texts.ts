import { log64 } from '../math/logarithms.js';
import { ProgramError } from '../program-error.js';
import { hashedColumn, murmur3 } from './feature-hash.js';
import { floatsOf, onlyInput, type Kernel, type KernelArguments } from './kernel.js';
import { SparseRows } from './sparse.js';
import { SPACE, tokenPattern } from './token-pattern.js';

/** Words of one or more, and of two or more characters. */
const WORDS = [/[\p{L}\p{N}_]+/gu, /[\p{L}\p{N}_]{2,}/gu] as const;
const SPACES = new RegExp(`[${SPACE}]+`, 'gu');
const SEVERAL_SPACES = new RegExp(`[${SPACE}]{2,}`, 'gu');

/** Texts to numbers (sklearn/feature_extraction/text.py and _hashing_fast.pyx, 0.22 to 1.8). */
export const texts: Record<string, Kernel> = {
  /**
   * How often each term of the attribute `vocabulary` (by column) comes in each text of BYTES `[rows]`; with the attribute
   * `hashed` = columns, terms go to the column that their MurmurHash3 says, with its sign where `signed`. Terms: attribute
   * `analyzer` (word, char, char_wb), `least` and `most` words or characters a term, `shortest` word (1 or 2 characters) or the
   * `pattern` of words (see token-pattern.ts),
   * `lowercase`, `accents` (keep, unicode, ascii), `stop` (words left out), `binary` (1 for any number). FP64
   * `[rows, columns]`, sparse. A missing text is refused with INVALID_INPUT.
   */
  'count-terms': (given) => {
    const terms = termsOf(given);
    const hashed = given.has('hashed') ? given.integer('hashed', 1, 2 ** 31 - 1) : 0;
    const vocabulary = hashed ? [] : given.strings('vocabulary');
    const columns = new Map(vocabulary.map((term, column) => [term, column]));
    const signed = hashed > 0 && given.flag('signed');
    const binary = given.flag('binary');
    const width = hashed || vocabulary.length;
    return (inputs) => {
      const { data: documents } = onlyInput(inputs);
      if (!Array.isArray(documents)) return given.fail('takes BYTES');
      const rows = new SparseRows(width);
      const counts = new Map<number, number>();
      for (const [row, document] of documents.entries()) {
        counts.clear();
        for (const term of terms(textOf(document, row))) {
          const hash = hashed ? murmur3(term) : 0;
          const column = hashed ? hashedColumn(hash, hashed) : columns.get(term);
          if (column === undefined) continue;
          const one = signed && hash < 0 ? -1 : 1;
          counts.set(column, binary ? 1 : (counts.get(column) ?? 0) + one);
        }
        rows.add(counts);
      }
      return [rows.value()];
    };
  },

  /** 1 + log x where x is not 0 (sublinear term frequencies). */
  sublinear: () => (inputs) => {
    const { shape, data: source } = onlyInput(inputs);
    const data = new Float64Array(floatsOf(source, 'input of sublinear'));
    for (let i = 0; i < data.length; i++) if (data[i] !== 0) data[i] = log64(data[i] ?? NaN) + 1;
    return [{ dtype: 'FP64', shape, data }];
  },
};

function textOf(document: string | Uint8Array | null | undefined, row: number): string {
  if (typeof document === 'string') return document;
  throw ProgramError.input(
    '/inputs',
    `Row ${row} has ${document ? 'a text that is not UTF-8' : 'no text'} where the model reads words. Send a string, "" for none.`,
  );
}

function termsOf(given: KernelArguments): (text: string) => Iterable<string> {
  const analyzer = given.oneOf('analyzer', ['word', 'char', 'char_wb']);
  const least = given.integer('least', 1, 1000);
  const most = given.integer('most', least, 1000);
  const pattern = given.has('pattern')
    ? (tokenPattern(given.text('pattern')) ?? given.fail('pattern'))
    : (WORDS[given.integer('shortest', 1, 2) - 1] ?? WORDS[1]);
  const lower = given.flag('lowercase');
  const accents = given.oneOf('accents', ['keep', 'unicode', 'ascii']);
  const stop = new Set(given.strings('stop'));
  return (document) => {
    let text = lower ? document.toLowerCase() : document;
    if (accents !== 'keep') text = withoutAccents(text, accents === 'ascii');
    if (analyzer === 'char')
      return slices(Array.from(text.replace(SEVERAL_SPACES, ' ')), least, most);
    if (analyzer === 'char_wb') return withinWords(text, least, most);
    const words = (text.match(pattern) ?? []).filter((word) => !stop.has(word));
    return wordTerms(words, least, most);
  };
}

/** scikit-learn takes the marks off the decomposed text, or with `ascii` everything that is not ASCII. */
function withoutAccents(text: string, ascii: boolean): string {
  const decomposed = text.normalize('NFKD');
  return decomposed.replace(ascii ? /\P{ASCII}/gu : /\p{M}/gu, '');
}

function* wordTerms(words: string[], least: number, most: number): Iterable<string> {
  if (least === 1) yield* words;
  for (let size = Math.max(2, least); size <= Math.min(most, words.length); size++) {
    for (let i = 0; i + size <= words.length; i++) yield words.slice(i, i + size).join(' ');
  }
}

function* slices(characters: string[], least: number, most: number): Iterable<string> {
  for (let size = least; size <= Math.min(most, characters.length); size++) {
    for (let i = 0; i + size <= characters.length; i++)
      yield characters.slice(i, i + size).join('');
  }
}

/** Characters within words that have a space at both ends; what is shorter than a term is one itself, once. */
function* withinWords(text: string, least: number, most: number): Iterable<string> {
  for (const word of text.split(SPACES)) {
    if (word === '') continue;
    const characters = Array.from(` ${word} `);
    for (let size = least; size <= most; size++) {
      if (size >= characters.length) {
        yield characters.join('');
        break;
      }
      yield* slices(characters, size, size);
    }
  }
}
