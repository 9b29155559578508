/** A request or document that is not what the protocol says; clients get it as a 400. */
export class CodecError extends Error {
  readonly code = 'INVALID_ARGUMENT';

  /**
   * @param pointer JSON pointer to what is wrong, `""` for the whole document.
   * @param message what was wrong, where, and what was expected, for the person who made the request.
   */
  constructor(
    readonly pointer: string,
    message: string,
  ) {
    super(message);
    this.name = 'CodecError';
  }
}

/** A value as an error message shows it: its JSON, cut after 40 characters. */
export function excerpt(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (value === undefined) return 'absent';
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const text = JSON.stringify(typeof value === 'string' ? value.slice(0, 60) : value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** A name as a part of a JSON pointer (RFC 6901 section 3). */
export function pointerPart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
