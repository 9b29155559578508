import { writeExact } from '#sdk';

/** Text from a server as a terminal may show it: what would steer the terminal is made visible instead. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}

/** A line of the result, on stdout. */
export function print(line: string): void {
  console.log(printable(line));
}

/** What helps a person but is no result, on stderr. */
export function note(line: string): void {
  console.error(printable(line));
}

/** The whole result as JSON, on stdout; INT64 stay exact. */
export function printJson(value: unknown): void {
  console.log(writeExact(value));
}

/** Rows under headings, in columns as wide as they need. */
export function printTable(headings: string[], rows: string[][]): void {
  const table = [headings, ...rows].map((row) => row.map((cell) => printable(cell)));
  const widths = headings.map((_, i) => Math.max(...table.map((row) => row[i]?.length ?? 0)));
  for (const row of table)
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

/** Names and values, one a line; empty values are left out. */
export function printFields(fields: Record<string, string | null | undefined>): void {
  const rows = Object.entries(fields).filter((field): field is [string, string] => !!field[1]);
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  for (const [name, value] of rows) {
    const [first = '', ...more] = value.split('\n');
    print(`${name.padEnd(width)}  ${first}`);
    for (const line of more) print(`${' '.repeat(width)}  ${line}`);
  }
}

/** `3.4 kB`, `1.2 GB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `2026-11-20 09:30`, in the time of this machine. */
export function timeText(time: string): string {
  const date = new Date(time);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `auc=0.98 accuracy=0.95` */
export function pairsText(pairs: Record<string, unknown>): string {
  return Object.entries(pairs)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : writeExact(value)}`)
    .join(' ');
}
