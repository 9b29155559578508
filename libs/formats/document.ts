import type { TypedArray } from '#program';
import { DamagedModel } from './importer.js';

/** An array of numbers as a parser gave it: of JSON, or typed, of UBJSON. */
export type Numbers = ArrayLike<number>;

/** Characters of a path that messages show: documents may be thousands of levels deep. */
const MOST_SHOWN = 300;

/** A part of a parsed document of a model, with the path to it, read with a demand on what it is (else DamagedModel). */
export class Part {
  constructor(
    readonly value: unknown,
    readonly path: string,
  ) {}

  damaged(message: string): never {
    const { path } = this;
    const shown =
      path.length > MOST_SHOWN
        ? `${path.slice(0, MOST_SHOWN / 2)} … ${path.slice(-MOST_SHOWN / 2)}`
        : path;
    throw new DamagedModel(`${shown}: ${message}`);
  }

  /** Another value that stands at this place, such as a text that is a document itself. */
  as(value: unknown): Part {
    return new Part(value, this.path);
  }

  has(name: string): boolean {
    return isObject(this.value) && Object.hasOwn(this.value, name);
  }

  field(name: string): Part {
    if (!isObject(this.value)) return this.damaged('must be an object');
    if (!Object.hasOwn(this.value, name)) return this.damaged(`has no "${name}"`);
    return new Part(this.value[name], `${this.path}.${name}`);
  }

  optional(name: string): Part | undefined {
    return this.has(name) ? this.field(name) : undefined;
  }

  /** The members of an object. */
  entries(): [name: string, value: Part][] {
    if (!isObject(this.value)) return this.damaged('must be an object');
    return Object.entries(this.value).map(([name, value]) => [
      name,
      new Part(value, `${this.path}.${name}`),
    ]);
  }

  text(): string {
    return typeof this.value === 'string' ? this.value : this.damaged('must be a text');
  }

  /** A number, also one written as a text. */
  number(): number {
    const { value } = this;
    if (typeof value === 'number') return value;
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN;
    return Number.isNaN(number) ? this.damaged('must be a number') : number;
  }

  integer(least: number, most: number): number {
    const number = this.number();
    return Number.isInteger(number) && number >= least && number <= most
      ? number
      : this.damaged(`must be an integer from ${least} to ${most}, is ${number}`);
  }

  list(): Part[] {
    return Array.isArray(this.value)
      ? this.value.map((item, i) => new Part(item, `${this.path}[${i}]`))
      : this.damaged('must be a list');
  }

  texts(): string[] {
    return this.list().map((item) => item.text());
  }

  /** A list of numbers, of this length if one is given; booleans are 0 and 1, `null` stands for NaN. */
  numbers(length?: number): Numbers {
    const numbers = this.anyNumbers();
    if (length !== undefined && numbers.length !== length) {
      this.damaged(`must have ${length} numbers, has ${numbers.length}`);
    }
    return numbers;
  }

  private anyNumbers(): Numbers {
    const { value } = this;
    if (isTyped(value)) return value;
    if (!Array.isArray(value)) return this.damaged('must be a list of numbers');
    const numbers = new Float64Array(value.length);
    for (let i = 0; i < numbers.length; i++) {
      const item: unknown = value[i];
      if (typeof item === 'number') numbers[i] = item;
      else if (typeof item === 'boolean') numbers[i] = item ? 1 : 0;
      else if (item === null) numbers[i] = NaN;
      else this.damaged(`must be a list of numbers, and is not at ${i}`);
    }
    return numbers;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  );
}

/** The parsers make no typed arrays of anything but numbers. */
function isTyped(value: unknown): value is Exclude<TypedArray, BigInt64Array | BigUint64Array> {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}
