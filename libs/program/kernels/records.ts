import { ProgramError } from '../program-error.js';
import { hashedColumn, murmur3 } from './feature-hash.js';
import { onlyInput, type Kernel } from './kernel.js';
import { SparseRows } from './sparse.js';

type Form = 'object' | 'pair' | 'string' | 'set';

/** What a row gives: a feature and its number. */
type Add = (key: string, value: number) => void;

/** JSON documents to numbers (sklearn/feature_extraction/_dict_vectorizer.py and _hash.py, preprocessing/_label.py, 0.22 to 1.8). */
export const records: Record<string, Kernel> = {
  /**
   * Texts `[rows]`, each a JSON document of the attribute `form`: `object` of features, where a text t under f is the feature
   * f, `separator`, t with the number 1 and an array of texts several such; `pair` = array of [feature, number or text];
   * `string` = array of features; `set` = array of labels, whose JSON is the key. Features go to the column where the
   * attribute `keys` has them (others are left out), or with `hashed` = columns to that of their MurmurHash3, with its sign
   * where `signed`. The numbers of a column are added up, those of a set are 1. FP64 `[rows, columns]`, sparse. What has not
   * the form is refused with INVALID_INPUT.
   */
  'count-records': (given) => {
    const form = given.oneOf('form', ['object', 'pair', 'string', 'set']);
    const hashed = given.has('hashed') ? given.integer('hashed', 1, 2 ** 31 - 1) : 0;
    const keys = hashed ? [] : given.strings('keys');
    const columns = new Map(keys.map((key, column) => [key, column]));
    const signed = hashed > 0 && given.flag('signed');
    const separator = given.has('separator') ? given.text('separator') : '=';
    return (inputs) => {
      const { data: documents } = onlyInput(inputs);
      if (!Array.isArray(documents)) return given.fail('takes BYTES');
      const rows = new SparseRows(hashed || keys.length);
      const sums = new Map<number, number>();
      const add: Add = (key, value) => {
        const hash = hashed ? murmur3(key) : 0;
        const column = hashed ? hashedColumn(hash, hashed) : columns.get(key);
        if (column === undefined || (hashed && value === 0)) return;
        const number = signed && hash < 0 ? -value : value;
        sums.set(column, form === 'set' ? 1 : (sums.get(column) ?? 0) + number);
      };
      for (const [row, document] of documents.entries()) {
        sums.clear();
        const parsed = typeof document === 'string' ? parse(document) : undefined;
        if (!read(parsed, { form, separator, hashed: hashed > 0 }, add)) throw wrong(form, row);
        rows.add(sums);
      }
      return [rows.value()];
    };
  },
};

function parse(document: string): unknown {
  try {
    return JSON.parse(document) as unknown;
  } catch {
    return undefined;
  }
}

interface Reading {
  form: Form;
  separator: string;
  /** Hashing takes single numbers and texts only. */
  hashed: boolean;
}

/** Adds all features of a document; false where it has not the form. */
function read(document: unknown, reading: Reading, add: Add): boolean {
  if (reading.form === 'object') {
    if (typeof document !== 'object' || document === null || Array.isArray(document)) return false;
    return Object.entries(document).every(([key, value]) => feature(key, value, reading, add));
  }
  if (!Array.isArray(document)) return false;
  return document.every((item: unknown) => {
    switch (reading.form) {
      case 'set':
        add(JSON.stringify(item), 1);
        return ['string', 'number', 'boolean'].includes(typeof item);
      case 'string':
        if (typeof item === 'string') add(item, 1);
        return typeof item === 'string';
      default: {
        if (!Array.isArray(item) || item.length !== 2) return false;
        const [key, value] = item as unknown[];
        return typeof key === 'string' && feature(key, value, reading, add);
      }
    }
  });
}

function feature(key: string, value: unknown, reading: Reading, add: Add): boolean {
  if (typeof value === 'string') add(key + reading.separator + value, 1);
  else if (typeof value === 'number' || typeof value === 'boolean') add(key, Number(value));
  else if (value === null && !reading.hashed) add(key, NaN);
  else if (Array.isArray(value) && !reading.hashed) {
    if (!value.every((item) => typeof item === 'string')) return false;
    for (const item of value) add(key + reading.separator + item, 1);
  } else return false;
  return true;
}

const WANTED: Record<Form, string> = {
  object: 'an object of features, such as {"city": "Rome", "size": 2}',
  pair: 'an array of pairs, such as [["city=Rome", 1], ["size", 2]]',
  string: 'an array of strings, such as ["red", "round"]',
  set: 'an array of labels, such as ["red", "round"]',
};

function wrong(form: Form, row: number): ProgramError {
  return ProgramError.input(
    '/inputs',
    `Row ${row} is not the JSON text of ${WANTED[form]}. Send one such text a row.`,
  );
}
