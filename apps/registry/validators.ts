import { ValidateBy, ValidateIf, type ValidationOptions } from 'class-validator';
import { writeJson } from '#platform';

/** Of numbers of versions and sizes of dimensions. */
export const maxInteger = 2 ** 31 - 1;

const maxEntries = 1000;
const maxKey = 250;
const maxValue = 8000;
const maxJson = 2 ** 20;

/** The field may be left out. Unlike with class-validator's `IsOptional`, `null` is a value, and a wrong one. */
export function MayBeAbsent(): PropertyDecorator {
  return ValidateIf((_, value) => value !== undefined);
}

/** An object of strings, as tags and params are. With `removable`, `null` takes an entry away. */
export function IsStringMap(
  { removable = false } = {},
  options?: ValidationOptions,
): PropertyDecorator {
  const value = removable ? 'a string, or null to remove it' : 'a string';
  return mapOf(
    'isStringMap',
    `$property must be an object whose values are each ${value}`,
    options,
    (v) => (removable && v === null ? true : typeof v === 'string' && v.length <= maxValue),
  );
}

/** An object of numbers, as metrics are; JSON has no NaN and infinities, so these are strings. */
export function IsMetricMap(options?: ValidationOptions): PropertyDecorator {
  return mapOf(
    'isMetricMap',
    '$property must be an object whose values are each a number, "NaN", "Infinity" or "-Infinity"',
    options,
    (v) =>
      typeof v === 'number' ||
      typeof v === 'bigint' ||
      v === 'NaN' ||
      v === 'Infinity' ||
      v === '-Infinity',
  );
}

/** Any JSON object, up to a megabyte: it is part of every answer about what it belongs to. */
export function IsJsonObject(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isJsonObject',
      validator: {
        validate: (value: unknown) => isObject(value) && writeJson(value).length <= maxJson,
        defaultMessage: () =>
          `$property must be an object, of at most ${maxJson} characters of JSON`,
      },
    },
    options,
  );
}

function mapOf(
  name: string,
  message: string,
  options: ValidationOptions | undefined,
  accepts: (value: unknown) => boolean,
): PropertyDecorator {
  return ValidateBy(
    {
      name,
      validator: {
        validate: (map: unknown) =>
          isObject(map) && Object.keys(map).length <= maxEntries && wrongEntry(map, accepts) === '',
        defaultMessage: (found) =>
          `${message} (at most ${maxEntries} entries, keys of 1 to ${maxKey} characters, values of at most ${maxValue})${wrongEntry(found?.value, accepts)}`,
      },
    },
    options,
  );
}

/** Names the first entry of a map that is not taken; empty where all are, or where it is no map. */
function wrongEntry(map: unknown, accepts: (value: unknown) => boolean): string {
  if (!isObject(map) || Object.keys(map).length > maxEntries) return '';
  for (const [key, value] of Object.entries(map)) {
    if (key === '' || key.length > maxKey)
      return `; the key ${JSON.stringify(key.slice(0, 40))} is wrong`;
    if (!accepts(value)) return `; the value of ${JSON.stringify(key)} is wrong`;
  }
  return '';
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
