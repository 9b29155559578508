const MOST_CHARACTERS = 1000;

/** Whether a model's names of its features can name the inputs of a program: each another one, and none empty or endless. */
export function canNameInputs(names: string[]): boolean {
  return (
    names.length > 0 &&
    new Set(names).size === names.length &&
    names.every((name) => name !== '' && name.length <= MOST_CHARACTERS)
  );
}

/** Names for the columns of a table whose columns have none. */
export function madeUpNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `x${i}`);
}
