/** A figure of a bench: a ratio measured in one run, what it is made of, and what it must reach. */
export interface Result {
  what: string;
  /** The middle of the rounds. */
  ratio: number;
  /** The least and the most of the rounds. */
  low: number;
  high: number;
  /** What the ratio is made of, with the unit in the name: `{ 'echo req/s': 31200 }`. */
  parts: Record<string, number>;
  /** Such as `>= 0.80`; absent where the figure is told for its own sake. */
  goal?: string;
  /** Which way is good. */
  better: 'higher' | 'lower';
}

/**
 * Prints a figure twice: for people, and as one line `RESULT {…}` for a program that collects them. Numbers are rounded to
 * four digits.
 */
export function printResult(result: Result): void {
  const { what, ratio, low, high, parts, goal } = result;
  const made = Object.entries(parts).map(([name, value]) => `${name} ${shown(value)}`);
  const must = goal === undefined ? '' : `, goal ${goal.replace('>=', '≥').replace('<=', '≤')}`;
  console.log(`${what}: ${shown(ratio)} (${shown(low)} to ${shown(high)})${must}`);
  console.log(`  ${made.join(', ')}`);
  const rounded = JSON.stringify(result, (_, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(4)) : value,
  );
  console.log(`RESULT ${rounded}`);
}

/** The least, the middle and the most of what several rounds measured. */
export function spread(rounds: number[]): { ratio: number; low: number; high: number } {
  const sorted = rounds.toSorted((a, b) => a - b);
  const at = (i: number): number => sorted[i] ?? NaN;
  return { ratio: at(sorted.length >> 1), low: at(0), high: at(sorted.length - 1) };
}

function shown(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
