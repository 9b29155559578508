/** The values of a statement, in the order of their placeholders. */
export class Parameters {
  readonly values: unknown[] = [];

  /** @param first number of the first placeholder. */
  constructor(private readonly first = 1) {}

  /** The placeholder of one more value, with a cast, so that PostgreSQL never guesses a type. */
  add(value: unknown, cast: string): string {
    this.values.push(value);
    return `$${this.first + this.values.length - 1}::${cast}`;
  }
}
