import { ProgramError } from './program-error.js';

/** A part of a document from outside, with its JSON pointer, read with a demand on what it is. */
export class JsonReader {
  constructor(
    private readonly value: unknown,
    readonly pointer: string,
  ) {}

  get present(): boolean {
    return this.value !== undefined;
  }

  get isNull(): boolean {
    return this.value === null;
  }

  fail(message: string): never {
    throw ProgramError.program(this.pointer, message);
  }

  field(name: string): JsonReader {
    const object = this.object();
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    return new JsonReader(value, `${this.pointer}/${escape(name)}`);
  }

  entries(most: number): [string, JsonReader][] {
    const entries = Object.entries(this.object());
    if (entries.length > most)
      this.fail(`has ${entries.length} members, at most ${most} are allowed`);
    return entries.map(([name, value]) => [
      name,
      new JsonReader(value, `${this.pointer}/${escape(name)}`),
    ]);
  }

  array(most: number): JsonReader[] {
    if (!Array.isArray(this.value)) this.fail('must be an array');
    if (this.value.length > most) {
      this.fail(`has ${this.value.length} items, at most ${most} are allowed`);
    }
    return this.value.map((item, i) => new JsonReader(item, `${this.pointer}/${i}`));
  }

  string(most = 1024): string {
    if (typeof this.value !== 'string') this.fail('must be a string');
    if (this.value.length > most) this.fail(`must have at most ${most} characters`);
    return this.value;
  }

  integer(least: number, most: number): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      this.fail(`must be an integer from ${least} to ${most}`);
    }
    return value;
  }

  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value))
      this.fail('must be a number');
    return this.value;
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') this.fail('must be true or false');
    return this.value;
  }

  oneOf<T extends string>(allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === this.value);
    return found ?? this.fail(`must be one of ${allowed.join(', ')}`);
  }

  /** A boolean, number or string, or an array of one of these. */
  attribute(most: number): boolean | number | string | boolean[] | number[] | string[] {
    const { value } = this;
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return this.number();
    if (typeof value === 'boolean') return value;
    const items = this.array(most);
    if (!Array.isArray(value) || typeof value[0] === 'string') {
      return items.map((item) => item.string(Infinity));
    }
    if (typeof value[0] === 'boolean') return items.map((item) => item.boolean());
    return items.map((item) => item.number());
  }

  private object(): Record<string, unknown> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.fail('must be an object');
    }
    return value as Record<string, unknown>;
  }
}

function escape(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
