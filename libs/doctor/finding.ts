/** What one check found, in one line. */
export interface Finding {
  /** Such as `database`. */
  check: string;
  state: 'ok' | 'warning' | 'failure';
  message: string;
  /** What to do, wherever the state is not `ok`. */
  next?: string;
}

/** What a check says; the name comes from the table of checks. */
export type Said = Omit<Finding, 'check'> & { check?: string };

export function ok(message: string): Said {
  return { state: 'ok', message };
}

export function warning(message: string, next: string): Said {
  return { state: 'warning', message, next };
}

export function failure(message: string, next: string): Said {
  return { state: 'failure', message, next };
}

/** The first line of an error, or of each of several attempts. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0] ?? message;
}

/** `3.4 GiB` */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}
