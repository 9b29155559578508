import 'reflect-metadata';
import { type ArgumentMetadata, Injectable, type PipeTransform } from '@nestjs/common';
import { defaultMetadataStorage } from 'class-transformer/cjs/storage.js';
import { getMetadataStorage, validate, type ValidationError } from 'class-validator';
import { DomainError, type FieldError, nearest } from '#platform';

type Dto = new () => object;

/**
 * Makes DTOs from bodies and queries and checks them with class-validator. A field that a DTO does not know is refused;
 * every fault is told with its JSON pointer. What is no DTO (maps, metadata, tensors) stays the very value that was read:
 * class-transformer would copy it element by element, drop keys such as `toString`, and stumble over `constructor`.
 */
@Injectable()
export class ValidateDto implements PipeTransform<unknown> {
  async transform(value: unknown, { type, metatype }: ArgumentMetadata): Promise<unknown> {
    if (type === 'custom' || !isDto(metatype)) return value;
    const given = value ?? {};
    if (!isObject(given))
      throw DomainError.invalid('', 'The body must be an object with named fields.');
    const errors = unstorable(given);
    const dto = instantiate(metatype, given, '', errors);
    if (errors.length >= MOST_FAULTS) throw invalid(errors);
    const told = new Set(errors.map(({ pointer }) => pointer));
    const found = await validate(dto, { forbidUnknownValues: false });
    errors.push(
      ...found
        .flatMap((error) => fieldErrors(error, ''))
        .filter(({ pointer }) => !told.has(pointer)),
    );
    if (errors.length > 0) throw invalid(errors);
    return dto;
  }
}

/** The faults that class-validator found, as one `INVALID_ARGUMENT`. */
export function validationProblem(found: ValidationError[]): DomainError {
  return invalid(found.flatMap((error) => fieldErrors(error, '')));
}

function invalid(errors: FieldError[]): DomainError {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const detail = first
    ? `${first.pointer || 'The body'}: ${first.message}${more}`
    : 'The request is not valid.';
  return new DomainError('INVALID_ARGUMENT', detail, { errors: errors.slice(0, MOST_FAULTS) });
}

/** Faults that are told, and after which nothing more is looked for. */
const MOST_FAULTS = 100;
/** Objects of a DTO in one list; the largest list that a DTO allows. */
const MOST_ITEMS = 100_000;

/** A class whose fields have validation decorators. */
function isDto(metatype: unknown): metatype is Dto {
  return typeof metatype === 'function' && fieldsOf(metatype).length > 0;
}

/** An instance of the DTO with the fields that it knows; others, and what should be an object and is none, are faults. */
function instantiate(dto: Dto, value: object, pointer: string, faults: FieldError[]): object {
  const instance = new dto() as Record<string, unknown>;
  const known = fieldsOf(dto);
  for (const [key, given] of Object.entries(value)) {
    if (faults.length >= MOST_FAULTS) break;
    const at = `${pointer}/${escaped(key)}`;
    if (!known.includes(key)) faults.push({ pointer: at, message: unknownField(key, known) });
    else instance[key] = transformed(dto, key, typed(dto, key, given, at, faults), value);
  }
  return instance;
}

/** Applies `@Type`: makes nested DTOs, and numbers from the text of a query. */
function typed(
  dto: Dto,
  key: string,
  given: unknown,
  pointer: string,
  faults: FieldError[],
): unknown {
  const type: unknown = defaultMetadataStorage.findTypeMetadata(dto, key)?.typeFunction();
  if (type === Number && typeof given === 'string')
    return given.trim() === '' ? given : Number(given);
  if (!isDto(type) || given === undefined) return given;
  const made = (item: unknown, at: string): unknown => {
    if (isObject(item)) return instantiate(type, item, at, faults);
    faults.push({ pointer: at, message: `must be an object; got ${excerpt(item)}` });
    return item;
  };
  // class-validator would take an array for an object, and look into arrays inside arrays.
  if (Reflect.getMetadata('design:type', dto.prototype as object, key) !== Array)
    return made(given, pointer);
  if (Array.isArray(given) && given.length > MOST_ITEMS) {
    faults.push({ pointer, message: `has ${given.length} items; at most ${MOST_ITEMS} are taken` });
    return [];
  }
  if (Array.isArray(given)) return given.map((item, i) => made(item, `${pointer}/${i}`));
  faults.push({ pointer, message: `must be an array of objects; got ${excerpt(given)}` });
  return given;
}

/**
 * What cannot be kept as it was sent: NUL, which PostgreSQL takes in no text; half a surrogate pair, which no UTF-8 text
 * has; and numbers that are infinite to a double, such as 1e400. One fault for a field of the body or query.
 */
function unstorable(fields: object): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, field] of Object.entries(fields)) {
    const fault = faultOfScalar(key) ?? faultIn(field);
    if (!fault) continue;
    const { path, message } =
      typeof fault === 'string' ? { path: [], message: `is a name that ${fault}` } : fault;
    errors.push({ pointer: `/${[key, ...path].map(escaped).join('/')}`, message });
    if (errors.length === MOST_FAULTS) break;
  }
  return errors;
}

function faultIn(value: unknown): { path: string[]; message: string } | undefined {
  const message = typeof value === 'object' ? undefined : faultOfScalar(value);
  if (message) return { path: [], message };
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = faultIn(value[i]);
      if (fault) return { ...fault, path: [String(i), ...fault.path] };
    }
    return undefined;
  }
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    const wrongKey = faultOfScalar(key);
    if (wrongKey) return { path: [key], message: `is a name that ${wrongKey}` };
    const fault = faultIn(fields[key]);
    if (fault) return { ...fault, path: [key, ...fault.path] };
  }
  return undefined;
}

function faultOfScalar(value: unknown): string | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value)
      ? undefined
      : 'is a number too large for float64; write a smaller one, or a string';
  }
  if (typeof value !== 'string') return undefined;
  if (value.includes('\0')) return 'has a NUL character, which no text here may have';
  return /\p{Surrogate}/u.test(value)
    ? 'has half of a surrogate pair, which is no Unicode text'
    : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Applies `@Transform`. */
function transformed(dto: Dto, key: string, given: unknown, obj: unknown): unknown {
  return defaultMetadataStorage
    .findTransformMetadatas(dto, key, 0)
    .reduce((value, { transformFn }) => transformFn({ key, value, obj }), given);
}

function fieldErrors(error: ValidationError, parent: string): FieldError[] {
  const pointer = `${parent}/${escaped(error.property)}`;
  const own = Object.values(error.constraints ?? {}).map((message) => ({
    pointer,
    message: said(message, error),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, pointer))];
}

/** As a part of a JSON pointer (RFC 6901). */
function escaped(key: string): string {
  return key.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** What class-validator says, without the property's name, which the pointer carries, and with what came instead. */
function said(message: string, { property, value }: ValidationError): string {
  const expected = message.startsWith(`${property} `)
    ? message.slice(property.length + 1)
    : message;
  return value === undefined ? `${expected}; it is missing` : `${expected}; got ${excerpt(value)}`;
}

function excerpt(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function unknownField(key: string, known: string[]): string {
  return `is not a known field; did you mean "${nearest(key, known)}"? Known are ${known.join(', ')}`;
}

const fields = new Map<object, string[]>();

function fieldsOf(dto: Function): string[] {
  const cached = fields.get(dto);
  if (cached) return cached;
  const metadata = getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false);
  const names = [...new Set(metadata.map(({ propertyName }) => propertyName))].toSorted();
  fields.set(dto, names);
  return names;
}
