import { DomainError } from '#platform';

/** Reads the words of a filter or an order from left to right; its errors say where and what was expected. */
export class Scanner {
  private at = 0;

  /** @param what name of the request's field, for errors: `filter` or `order`. */
  constructor(
    private readonly text: string,
    private readonly what: string,
  ) {
    const nul = text.indexOf('\0');
    if (nul >= 0) throw this.fault('the character NUL is not allowed', nul);
  }

  /** Where the next word begins. */
  get position(): number {
    this.skipSpace();
    return this.at;
  }

  get done(): boolean {
    return this.position === this.text.length;
  }

  /** Takes the next character if it is this one. */
  take(character: string): boolean {
    if (!this.text.startsWith(character, this.position)) return false;
    this.at += character.length;
    return true;
  }

  /** Takes the next word if it is this one, in any case. */
  takeWord(word: string): boolean {
    const found = this.match(/[\p{L}\p{N}_]+/uy);
    if (found?.toUpperCase() !== word) return false;
    this.at += found.length;
    return true;
  }

  takeMatch(pattern: RegExp): string | undefined {
    const found = this.match(pattern);
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** `tags.team`, ``params.`learning rate` ``, `attributes."Run Name"`; bare parts may have `-`, `/`, `:` inside. */
  takePath(): string[] | undefined {
    const parts: string[] = [];
    this.skipSpace();
    do {
      const quote = this.text[this.at];
      const part =
        quote === '`' || quote === '"'
          ? this.takeQuoted(quote)
          : this.takeHere(/[\p{L}\p{N}_][\p{L}\p{N}_\-/:]*/uy);
      if (part === undefined) {
        if (parts.length === 0) return undefined;
        throw this.fault(
          'expected a key after the dot; quote it with backticks where it has other characters',
        );
      }
      parts.push(part);
    } while (this.takeHere(/\./y) !== undefined);
    return parts;
  }

  /** A string in single or double quotes; a quote inside is written twice. */
  takeString(): string | undefined {
    const quote = this.text[this.position];
    return quote === "'" || quote === '"' ? this.takeQuoted(quote) : undefined;
  }

  fault(message: string, at = this.position): DomainError {
    const where = at >= this.text.length ? 'at its end' : `at character ${at + 1}`;
    return DomainError.invalid(`/${this.what}`, `The ${this.what} is wrong ${where}: ${message}.`);
  }

  /** What stands here, as an error shows it. */
  found(): string {
    if (this.done) return 'found nothing';
    const word = this.match(/[\p{L}\p{N}_.]+|[^\p{L}\p{N}\s]+|./uy) ?? '';
    return `found ${JSON.stringify(word.length > 30 ? `${word.slice(0, 30)}…` : word)}`;
  }

  private takeQuoted(quote: string): string {
    const start = this.at;
    let value = '';
    for (let from = start + 1; ;) {
      const end = this.text.indexOf(quote, from);
      if (end < 0) {
        throw this.fault(
          `the ${quote} that opens here is not closed; a quote inside is written twice`,
          start,
        );
      }
      value += this.text.slice(from, end);
      this.at = end + 1;
      if (this.text[this.at] !== quote) return value;
      value += quote;
      from = this.at + 1;
    }
  }

  private match(pattern: RegExp): string | undefined {
    this.skipSpace();
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private takeHere(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private skipSpace(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }
}
