/** An integer literal that a float64 may not hold: sixteen digits or more, neither a fraction nor with an exponent. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * Parses JSON without losing digits: integers beyond ±(2^53 − 1) become bigints, everything else is what `JSON.parse`
 * makes of it. INT64 tensors and identifiers are exact on the wire, and stay so.
 *
 * @throws SyntaxError where the text is not JSON
 */
export function parseExact(text: string): unknown {
  return LONG_INTEGER.test(text) ? new ExactParser(text).parse() : JSON.parse(text);
}

/** Writes JSON; bigints become integer literals. What JSON does not have (functions, `undefined`) is left out as by `JSON.stringify`. */
export function writeExact(value: unknown): string {
  return write(value) ?? 'null';
}

function write(value: unknown): string | undefined {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === 'number')) return JSON.stringify(value);
    return `[${value.map((item) => write(item) ?? 'null').join(',')}]`;
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') return write(value.toJSON());
  const members: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    const text = write(member);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}

class ExactParser {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#fault();
    return value;
  }

  #value(): unknown {
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at++;
    if (this.#takes('}')) return object;
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') throw this.#fault();
      const key = this.#string();
      if (!this.#takes(':')) throw this.#fault();
      // A member named __proto__ is data, as for JSON.parse.
      Object.defineProperty(object, key, {
        value: this.#value(),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    } while (this.#takes(','));
    if (!this.#takes('}')) throw this.#fault();
    return object;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#at++;
    if (this.#takes(']')) return array;
    do array.push(this.#value());
    while (this.#takes(','));
    if (!this.#takes(']')) throw this.#fault();
    return array;
  }

  #string(): string {
    let end = this.#at + 1;
    for (;;) {
      const character = this.#text[end];
      if (character === undefined) throw this.#fault(end);
      if (character === '"') break;
      end += character === '\\' ? 2 : 1;
    }
    const literal = this.#text.slice(this.#at, end + 1);
    this.#at = end + 1;
    return String(JSON.parse(literal));
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (!match) throw this.#fault();
    this.#at = NUMBER.lastIndex;
    const [literal, fraction, exponent] = match;
    const number = Number(literal);
    const whole = fraction === undefined && exponent === undefined;
    return whole && !Number.isSafeInteger(number) ? BigInt(literal) : number;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#fault();
    this.#at += word.length;
    return value;
  }

  #takes(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #fault(at = this.#at): SyntaxError {
    const found = this.#text[at];
    const what = found === undefined ? 'the text ends' : `unexpected ${JSON.stringify(found)}`;
    return new SyntaxError(`This is not JSON: ${what} at position ${at}`);
  }
}
