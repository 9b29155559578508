import { DamagedModel } from '../importer.js';

/** A literal of Python as `repr` writes it; tuples and lists are arrays, dicts are Maps. */
export type Literal = null | boolean | number | string | Literal[] | Map<Literal, Literal>;

const MOST_DEPTH = 16;
const WORDS: Record<string, Literal> = { None: null, True: true, False: false };

/** Parses a literal; nothing may follow it. Throws DamagedModel. */
export function parsePythonLiteral(text: string): Literal {
  const parser = new LiteralParser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

class LiteralParser {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Literal {
    if (depth > MOST_DEPTH) this.damaged();
    if (this.skip('{')) return this.dict(depth + 1);
    if (this.skip('(')) return this.list(')', depth + 1);
    if (this.skip('[')) return this.list(']', depth + 1);
    const atom = /(?:'([^'\\]*)'|"([^"\\]*)"|(None|True|False)|(-?\d{1,16})L?)/y;
    atom.lastIndex = this.at;
    const match = atom.exec(this.text);
    if (!match) return this.damaged();
    this.at = atom.lastIndex;
    const [, single, double, word, digits] = match;
    if (word !== undefined) return WORDS[word] ?? null;
    return digits === undefined ? (single ?? double ?? '') : Number(digits);
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) this.damaged();
  }

  private dict(depth: number): Literal {
    const entries = new Map<Literal, Literal>();
    while (!this.skip('}')) {
      const key = this.value(depth);
      if (!this.skip(':')) this.damaged();
      entries.set(key, this.value(depth));
      if (!this.skip(',') && !this.ahead('}')) this.damaged();
    }
    return entries;
  }

  private list(close: string, depth: number): Literal[] {
    const items: Literal[] = [];
    while (!this.skip(close)) {
      items.push(this.value(depth));
      if (!this.skip(',') && !this.ahead(close)) this.damaged();
    }
    return items;
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at += 1;
  }

  private ahead(character: string): boolean {
    this.space();
    return this.text[this.at] === character;
  }

  private skip(character: string): boolean {
    const there = this.ahead(character);
    if (there) this.at += 1;
    return there;
  }

  private damaged(): never {
    throw new DamagedModel(`a literal of Python is damaged at character ${this.at}`);
  }
}
