import { DomainError } from '#platform';

const maxLength = 255;

/**
 * Checks a model name: 1–255 characters, no `/`, `:`, control characters, leading or trailing space, not `.` or `..`.
 * @param pointer where the name stands in the request, as a JSON pointer
 * @throws DomainError INVALID_ARGUMENT
 */
export function checkModelName(name: string, pointer = '/name'): string {
  const fault = faultOf(name);
  if (fault) {
    throw DomainError.invalid(
      pointer,
      `The model name ${JSON.stringify(name.slice(0, 300))} ${fault}. A name has 1 to ${maxLength} characters, without "/", ":" or control characters.`,
    );
  }
  return name;
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'is empty';
  // A character may be two UTF-16 units; what is longer in any case need not be counted.
  const length = name.length > 2 * maxLength ? name.length : Array.from(name).length;
  if (length > maxLength) return `has ${length} characters`;
  if (name === '.' || name === '..') return 'is reserved';
  if (name.trim() !== name) return 'begins or ends with a space';
  const bad = /[/:\p{Cc}\p{Cs}]/u.exec(name)?.[0];
  if (bad !== undefined) return `contains ${JSON.stringify(bad)}`;
  return undefined;
}

/**
 * Checks an alias by MLflow's rule: letters, digits, `_` and `-`; not `latest`, not `v` followed by digits.
 * @throws DomainError INVALID_ARGUMENT
 */
export function checkAlias(alias: string, pointer = '/alias'): string {
  const fault = !/^[\w-]{1,255}$/.test(alias)
    ? 'is not made of letters, digits, "_" and "-" (at most 255)'
    : /^(latest|v\d+)$/i.test(alias)
      ? 'is reserved: "latest" and "v" with digits already name versions'
      : undefined;
  if (fault)
    throw DomainError.invalid(
      pointer,
      `The alias ${JSON.stringify(alias.slice(0, 300))} ${fault}.`,
    );
  return alias;
}
