import { ValidateBy, type ValidationOptions } from 'class-validator';

const maxEntries = 1000;
const maxKey = 250;
const maxValue = 8000;

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
      (typeof v === 'number' && Number.isFinite(v)) ||
      v === 'NaN' ||
      v === 'Infinity' ||
      v === '-Infinity',
  );
}

/** Any JSON object. */
export function IsJsonObject(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isJsonObject',
      validator: { validate: isObject, defaultMessage: () => '$property must be an object' },
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
          isObject(map) &&
          Object.keys(map).length <= maxEntries &&
          Object.entries(map).every(
            ([key, v]) => key.length > 0 && key.length <= maxKey && accepts(v),
          ),
        defaultMessage: () =>
          `${message} (at most ${maxEntries} entries, keys of 1 to ${maxKey} characters, values of at most ${maxValue})`,
      },
    },
    options,
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
